package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestForms(t *testing.T) {
	digest := strings.Repeat("0aF", 21) + "0"
	for form, tc := range map[string]struct{ good, bad []string }{
		"address":   {[]string{"h:1", "127.0.0.1:65535", "[::1]:80", "a_b.c-d:1"}, []string{"", "h", ":1", "h:0", "h:65536", "h:+1", "h:http", "::1:80", "a..b:1", "h h:1", "[fe80::1%eth0]:1"}},
		"listen":    {[]string{":80", ":0", "0.0.0.0:80", "[::]:80", "localhost:1"}, []string{"", "80", ":", ":-1", ":65536", "a b:1"}},
		"authority": {[]string{"h", "h:1", "127.0.0.1", "[::1]", "[::1]:80"}, []string{"", "::1", "h/", "h:0", "user@h"}},
		"condition": {[]string{"connect", "reset", "timeout", "400", "599"}, []string{"", "200", "600", "5xx", "+50", "0503"}},
		"consul":    {[]string{"h:8500", "http://h", "https://h:8501", "http://[::1]:8500/", "unix:///run/consul.sock"}, []string{"", "h", "http://", "ftp://h", "http://u:p@h", "http://h?x", "unix://h/x", "unix:///", "http://h:0"}},
		"host":      {[]string{"example.com", "*.example.com", "127.0.0.1", "[::1]"}, []string{"", "*", "*.", "a.*.b", "h:80", "::1", "*.[::1]", "a/b"}},
		"name":      {[]string{"a", "A-b_c.9", strings.Repeat("a", 64)}, []string{"", "a b", "a:b", "a/b", "ä", strings.Repeat("a", 65)}},
		"prefix":    {[]string{"/", "/a/b%20c"}, []string{"", "a", "/a b", "/a?b", "/a#b", "/ä", "/\n"}},
		"sha256":    {[]string{digest}, []string{"", digest[1:], digest + "00", "g" + digest[1:]}},
		"target":    {[]string{"/", "/a?b=c"}, []string{"", "a", "/a b", "/a#b", "http://h/"}},
		"token":     {[]string{"X-User", "a!#$%&'*+-.^_`|~9"}, []string{"", "a b", "a:b", "a\"", "ä"}},
	} {
		tag := reflect.StructTag(fmt.Sprintf("as:%q", form))
		for _, text := range tc.good {
			var s string
			if want := (forms{}).parse(text, reflect.ValueOf(&s).Elem(), tag); want != "" || !strings.EqualFold(s, text) {
				t.Errorf("%s: %q is refused, want %s", form, text, want)
			}
		}
		for _, text := range tc.bad {
			var s string
			if want := (forms{}).parse(text, reflect.ValueOf(&s).Elem(), tag); want == "" || s != "" {
				t.Errorf("%s: %q is accepted as %q", form, text, s)
			}
		}
	}
	for form, tc := range texts {
		if tc.want == "" {
			t.Errorf("%s has no description", form)
		}
	}
}

func TestDigestsAndHostsAreKeptInLowerCase(t *testing.T) {
	for form, text := range map[string]string{"sha256": strings.Repeat("AB", 32), "host": "*.Example.COM"} {
		var s string
		(forms{}).parse(text, reflect.ValueOf(&s).Elem(), reflect.StructTag(fmt.Sprintf("as:%q", form)))
		if s != strings.ToLower(text) {
			t.Errorf("%s: %q became %q", form, text, s)
		}
	}
}

func TestNumbers(t *testing.T) {
	type all struct {
		Duration time.Duration `min:"1ms" max:"1h" zero:"none"`
		Size     int64         `as:"size" min:"1KiB" max:"1GiB"`
		Percent  float64       `as:"percent" min:"0%" max:"100%"`
		Int      int           `min:"1" max:"8"`
	}
	for name, tc := range map[string]struct {
		good map[string]any
		bad  []string
	}{
		"Duration": {map[string]any{"1ms": time.Millisecond, "1h": time.Hour, "0s": time.Duration(0), "1m30s": 90 * time.Second}, []string{"", "1", "0", "999us", "61m", "-1s", "1 s", "1d", "99999999h"}},
		"Size":     {map[string]any{"1KiB": int64(1024), "2048B": int64(2048), "1GiB": int64(1 << 30)}, []string{"", "1024", "1KB", "1023B", "1025MiB", "-1KiB", "1.5MiB", "KiB", "1 KiB"}},
		"Percent":  {map[string]any{"0%": 0.0, "12.5%": 0.125, "100%": 1.0}, []string{"", "20", "0.2", "101%", "-1%", "NaN%", "Inf%", "%"}},
		"Int":      {map[string]any{"1": 1, "8": 8}, []string{"", "0", "9", "1.0", "0x1", "-1", "1_0", "99999999999999999999"}},
	} {
		field, _ := reflect.TypeFor[all]().FieldByName(name)
		for text, want := range tc.good {
			v := reflect.New(field.Type).Elem()
			if wanted := (forms{}).parse(text, v, field.Tag); wanted != "" || v.Interface() != want {
				t.Errorf("%s %q: got %v (%s), want %v", name, text, v, wanted, want)
			}
		}
		for _, text := range tc.bad {
			v := reflect.New(field.Type).Elem()
			if want := (forms{}).parse(text, v, field.Tag); want == "" || !v.IsZero() {
				t.Errorf("%s: %q is accepted as %v", name, text, v)
			}
		}
	}
}
