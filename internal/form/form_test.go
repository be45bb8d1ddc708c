package form

import (
	"reflect"
	"testing"
	"time"
)

func TestNumbers(t *testing.T) {
	type all struct {
		Duration time.Duration `min:"1ms" max:"1h" zero:"none"`
		Size     int64         `as:"size" min:"1KiB" max:"1GiB"`
		Percent  float64       `as:"percent" min:"0%" max:"100%"`
		Decimal  float64       `min:"0.1" max:"10"`
		Int      int           `min:"1" max:"8"`
	}
	for name, tc := range map[string]struct {
		good map[string]any
		bad  []string
	}{
		"Duration": {map[string]any{"1ms": time.Millisecond, "1h": time.Hour, "0s": time.Duration(0), "1m30s": 90 * time.Second}, []string{"", "1", "0", "999us", "61m", "-1s", "1 s", "1d", "99999999h"}},
		"Size":     {map[string]any{"1KiB": int64(1024), "2048B": int64(2048), "1GiB": int64(1 << 30)}, []string{"", "1024", "1KB", "1023B", "1025MiB", "-1KiB", "1.5MiB", "KiB", "1 KiB"}},
		"Percent":  {map[string]any{"0%": 0.0, "12.5%": 0.125, "100%": 1.0}, []string{"", "20", "0.2", "101%", "-1%", "NaN%", "Inf%", "%"}},
		"Decimal":  {map[string]any{"0.1": 0.1, "1": 1.0, "1.5": 1.5, "10": 10.0}, []string{"", "0", "10.5", "20%", "NaN", "Inf", "-1", "1,5"}},
		"Int":      {map[string]any{"1": 1, "8": 8}, []string{"", "0", "9", "1.0", "0x1", "-1", "1_0", "99999999999999999999"}},
	} {
		field, _ := reflect.TypeFor[all]().FieldByName(name)
		for text, want := range tc.good {
			v := reflect.New(field.Type).Elem()
			if wanted := new(decoder).parse(text, v, field.Tag); wanted != "" || v.Interface() != want {
				t.Errorf("%s %q: got %v (%s), want %v", name, text, v, wanted, want)
			}
		}
		for _, text := range tc.bad {
			v := reflect.New(field.Type).Elem()
			if want := new(decoder).parse(text, v, field.Tag); want == "" || !v.IsZero() {
				t.Errorf("%s: %q is accepted as %v", name, text, v)
			}
		}
	}
}
