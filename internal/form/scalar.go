package form

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	levelType    = reflect.TypeFor[slog.Level]()
	prefixType   = reflect.TypeFor[netip.Prefix]()
	rawJSON      = reflect.TypeFor[json.RawMessage]()
)

// IsScalar reports whether values of type t stand in one word of YAML.
func IsScalar(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
		return true
	}
	return t == prefixType
}

// parse sets v to what text says, or returns what was wanted.
func (d *decoder) parse(text string, v reflect.Value, tag reflect.StructTag) (want string) {
	switch {
	case v.Type() == prefixType:
		p, err := netip.ParsePrefix(text)
		if err != nil || p != p.Masked() {
			return d.want(v.Type(), tag)
		}
		v.Set(reflect.ValueOf(p))
	case v.Kind() == reflect.String:
		return d.text(text, v, tag)
	case v.Type() == levelType:
		if !slices.Contains(strings.Fields(tag.Get("oneof")), text) {
			return d.want(v.Type(), tag)
		}
		var level slog.Level
		if err := level.UnmarshalText([]byte(text)); err != nil {
			return err.Error()
		}
		v.Set(reflect.ValueOf(level))
	case v.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return d.want(v.Type(), tag)
		}
		v.SetBool(text == "true")
	default:
		x, ok := number(text, v.Type(), tag)
		if !ok || !inRange(x, v.Type(), tag) {
			return d.want(v.Type(), tag)
		}
		if v.Kind() == reflect.Float64 {
			v.SetFloat(x)
		} else {
			v.SetInt(int64(x))
		}
	}
	return ""
}

// want says what a value of that type and tag looks like.
func (d *decoder) want(t reflect.Type, tag reflect.StructTag) string {
	kind := "text"
	switch {
	case t == durationType:
		kind = "a duration such as 30s or 100ms"
	case t == prefixType:
		kind = "a network such as 10.0.0.0/8"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case tag.Get("oneof") != "":
		return "one of " + strings.ReplaceAll(tag.Get("oneof"), " ", ", ")
	case tag.Get("as") == "size":
		kind = "a size such as 64KiB or 4MiB"
	case tag.Get("as") == "percent":
		kind = "a percentage such as 20%"
	case t.Kind() == reflect.Float64:
		kind = "a number such as 1.5"
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		kind = "a whole number"
	case t.Kind() == reflect.Float64:
		kind = "a number"
	case tag.Get("as") != "":
		kind = d.form(tag.Get("as")).Want
	}
	if min, max := tag.Get("min"), tag.Get("max"); max != "" {
		kind += ", " + min + ".." + max
	}
	if zero := tag.Get("zero"); zero != "" {
		kind += fmt.Sprintf(" (or %s: %s)", zeroOf(t, tag), zero)
	}
	return kind
}

func zeroOf(t reflect.Type, tag reflect.StructTag) string {
	if tag.Get("as") == "percent" {
		return "0%"
	}
	if t == durationType {
		return "0s"
	}
	return "0"
}

// number reads text in the unit of the type: nanoseconds, bytes, shares of 1, or plain. Every number that min and max
// allow is exact in a float64.
func number(text string, t reflect.Type, tag reflect.StructTag) (x float64, ok bool) {
	switch {
	case t == durationType:
		if text == "0" {
			return 0, false // like every number without its unit
		}
		d, err := time.ParseDuration(text)
		return float64(d), err == nil
	case tag.Get("as") == "size":
		for _, u := range []struct {
			name  string
			bytes float64
		}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}} {
			if digits, found := strings.CutSuffix(text, u.name); found {
				n, err := strconv.ParseUint(digits, 10, 32)
				return float64(n) * u.bytes, err == nil
			}
		}
		return 0, false
	case tag.Get("as") == "percent":
		digits, found := strings.CutSuffix(text, "%")
		x, err := strconv.ParseFloat(digits, 64)
		return x / 100, found && err == nil && !math.IsNaN(x)
	case t.Kind() == reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		return x, err == nil && !math.IsNaN(x)
	}
	if t.Kind() == reflect.Float64 {
		x, err := strconv.ParseFloat(text, 64)
		return x, err == nil && !math.IsNaN(x) && !math.IsInf(x, 0)
	}
	n, err := strconv.ParseInt(text, 10, 53)
	return float64(n), err == nil
}

func inRange(x float64, t reflect.Type, tag reflect.StructTag) bool {
	if x == 0 && tag.Get("zero") != "" || tag.Get("max") == "" {
		return true
	}
	least, ok1 := number(tag.Get("min"), t, tag)
	most, ok2 := number(tag.Get("max"), t, tag)
	if !ok1 || !ok2 {
		panic(fmt.Sprintf("form: the range of %q is not of the type %s", tag, t))
	}
	return least <= x && x <= most
}

func (d *decoder) text(text string, v reflect.Value, tag reflect.StructTag) (want string) {
	as := tag.Get("as")
	switch {
	case tag.Get("oneof") != "":
		if !slices.Contains(strings.Fields(tag.Get("oneof")), text) {
			return d.want(v.Type(), tag)
		}
	case as != "":
		form := d.form(as)
		if form.Lower {
			text = strings.ToLower(text)
		}
		if form.Read != nil {
			if text, want = form.Read(text); want != "" {
				return want
			}
		} else if form.OK != nil && !form.OK(text) {
			return d.want(v.Type(), tag)
		}
	case text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "text, not empty, without control characters"
	}
	v.SetString(text)
	return ""
}

// form returns the form of that name.
func (d *decoder) form(name string) Text {
	f, ok := d.texts[name]
	if !ok {
		panic(fmt.Sprintf("form: no text is called %q", name))
	}
	return f
}
