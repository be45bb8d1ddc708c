package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// forms reads single values. A value has a Go type, a unit or form (the tag as) and a range (min, max, zero).
type forms struct {
	dir      string   // that relative paths start from
	builtIns []string // names of policies
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	levelType    = reflect.TypeFor[slog.Level]()
	prefixType   = reflect.TypeFor[netip.Prefix]()
)

func isScalar(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
		return true
	}
	return t == prefixType
}

// parse sets v to what text says, or returns what was wanted.
func (f forms) parse(text string, v reflect.Value, tag reflect.StructTag) (want string) {
	switch {
	case v.Type() == prefixType:
		p, err := netip.ParsePrefix(text)
		if err != nil || p != p.Masked() {
			return f.want(v.Type(), tag)
		}
		v.Set(reflect.ValueOf(p))
	case v.Kind() == reflect.String:
		return f.text(text, v, tag)
	case v.Type() == levelType:
		if !slices.Contains(strings.Fields(tag.Get("oneof")), text) {
			return f.want(v.Type(), tag)
		}
		var level slog.Level
		if err := level.UnmarshalText([]byte(text)); err != nil {
			return err.Error()
		}
		v.Set(reflect.ValueOf(level))
	case v.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return f.want(v.Type(), tag)
		}
		v.SetBool(text == "true")
	default:
		x, ok := number(text, v.Type(), tag)
		if !ok || !inRange(x, v.Type(), tag) {
			return f.want(v.Type(), tag)
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
func (f forms) want(t reflect.Type, tag reflect.StructTag) string {
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
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		kind = "a whole number"
	case tag.Get("as") == "built-in":
		return texts["built-in"].want + ": " + strings.Join(f.builtIns, ", ")
	case tag.Get("as") != "":
		kind = texts[tag.Get("as")].want
	}
	if min, max := tag.Get("min"), tag.Get("max"); max != "" {
		kind += ", " + min + ".." + max
	}
	if zero := tag.Get("zero"); zero != "" {
		kind += fmt.Sprintf(" (or %s: %s)", zeroOf(t), zero)
	}
	return kind
}

func zeroOf(t reflect.Type) string {
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
		panic(fmt.Sprintf("config: the range of %q is not of the type %s", tag, t))
	}
	return least <= x && x <= most
}

func (f forms) text(text string, v reflect.Value, tag reflect.StructTag) (want string) {
	as := tag.Get("as")
	switch {
	case tag.Get("oneof") != "":
		if !slices.Contains(strings.Fields(tag.Get("oneof")), text) {
			return f.want(v.Type(), tag)
		}
	case as == "built-in":
		if !slices.Contains(f.builtIns, text) {
			return f.want(v.Type(), tag) + nearest(text, f.builtIns)
		}
	case as == "file" || as == "path":
		if text == "" {
			return texts[as].want
		}
		if !filepath.IsAbs(text) {
			text = filepath.Join(f.dir, text)
		}
		if as == "file" {
			if err := readable(text); err != nil {
				return "a readable file: " + err.Error()
			}
		}
	case as == "sha256":
		text = strings.ToLower(text)
		if b, err := hex.DecodeString(text); err != nil || len(b) != 32 {
			return f.want(v.Type(), tag)
		}
	case as == "host":
		text = strings.ToLower(text)
		fallthrough
	case as != "":
		if !texts[as].ok(text) {
			return f.want(v.Type(), tag)
		}
	case text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "text, not empty, without control characters"
	}
	v.SetString(text)
	return ""
}

// readable opens a file and closes it again. A device or a pipe is not asked, since that could wait.
func readable(name string) error {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is %s", name, info.Mode().Type())
	}
	if err == nil {
		var f *os.File
		if f, err = os.Open(name); err == nil {
			return f.Close()
		}
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Path, p.Err)
	}
	return err
}
