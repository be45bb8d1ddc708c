package form

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
)

// decoder fills the tree from nodes. It notes mistakes in errs and goes on; what is wrong keeps its default.
type decoder struct {
	texts  map[string]Text
	places Places
	errs   Errors
}

func (d *decoder) fail(at Place, path, got, want string) {
	d.errs = append(d.errs, &Error{File: at.File, Line: at.Line, Column: at.Column, Path: path, Got: got, Want: want})
}

// value decodes n, which stands at path, into v. The tag is that of the field which v is in.
func (d *decoder) value(n *node, path string, v reflect.Value, tag reflect.StructTag) {
	switch {
	case n.kind == broken:
	case v.Type() == rawJSON:
		d.json(n, path, v)
	case IsScalar(v.Type()):
		d.scalar(n, path, v, tag)
	case v.Kind() == reflect.Pointer:
		if n.kind != mapping {
			d.fail(n.at, path, n.describe(), "a mapping")
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		d.applyDefaults(v.Elem())
		d.value(n, path, v.Elem(), tag)
	case v.Kind() == reflect.Struct:
		d.object(n, path, v)
	case v.Kind() == reflect.Map:
		d.dictionary(n, path, v, tag)
	case v.Kind() == reflect.Slice:
		d.list(n, path, v, tag)
	default:
		panic(fmt.Sprintf("form: %s has the type %s", path, v.Type()))
	}
}

func (d *decoder) scalar(n *node, path string, v reflect.Value, tag reflect.StructTag) {
	if n.kind != scalar {
		d.fail(n.at, path, n.describe(), d.want(v.Type(), tag))
		return
	}
	if want := d.parse(n.text, v, tag); want != "" {
		d.fail(n.at, path, Quote(n.text), want)
	}
}

func (d *decoder) object(n *node, path string, v reflect.Value) {
	if n.kind != mapping {
		d.fail(n.at, path, n.describe(), "a mapping")
		return
	}
	t := v.Type()
	index := map[string]int{}
	var later []string
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("yaml"); key != "" && key != "-" {
			index[key] = i
		}
		later = append(later, strings.Fields(t.Field(i).Tag.Get("later"))...)
	}
	for _, f := range n.fields {
		i, known := index[f.name]
		at := Child(path, f.name)
		switch {
		case known:
			d.note(f, at)
			d.value(f.value, at, v.Field(i), t.Field(i).Tag)
		case slices.Contains(later, f.name):
			d.fail(f.at, at, "a key that this version does not support", "it left out")
		default:
			d.fail(f.at, at, "an unknown key", "a known one"+suggest(f.name, index))
		}
	}
}

// suggest returns the nearest known key, or all of them if none is near.
func suggest(name string, index map[string]int) string {
	keys := make([]string, 0, len(index))
	for k := range index {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	if near := Nearest(name, keys); near != "" {
		return near
	}
	return ": " + strings.Join(keys, ", ")
}

func (d *decoder) dictionary(n *node, path string, v reflect.Value, tag reflect.StructTag) {
	if n.kind != mapping {
		d.fail(n.at, path, n.describe(), "a mapping")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	names := reflect.New(reflect.TypeFor[string]()).Elem()
	key := reflect.StructTag(fmt.Sprintf("as:%q", tag.Get("key")))
	for _, f := range n.fields {
		at := Child(path, f.name)
		d.note(f, at)
		element := reflect.New(v.Type().Elem()).Elem()
		if element.Kind() == reflect.Pointer {
			// A named entry. Whatever is wrong inside, its name is known to those who refer to it.
			if want := d.parse(f.name, names, `as:"name"`); want != "" {
				d.fail(f.at, at, "the name "+Quote(f.name), want)
			}
			element.Set(reflect.New(element.Type().Elem()))
			element.Elem().FieldByName("Name").SetString(f.name)
			d.applyDefaults(element.Elem())
			d.value(f.value, at, element.Elem(), "")
		} else {
			if want := d.parse(f.name, names, key); want != "" {
				d.fail(f.at, at, "the key "+Quote(f.name), want)
			}
			d.value(f.value, at, element, "")
		}
		v.SetMapIndex(reflect.ValueOf(f.name), element)
	}
}

func (d *decoder) list(n *node, path string, v reflect.Value, tag reflect.StructTag) {
	if n.kind != list {
		d.fail(n.at, path, n.describe(), "a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, one := range n.items {
		at := Item(path, i)
		d.places[at] = one.at
		d.applyDefaults(v.Index(i))
		d.value(one, at, v.Index(i), tag)
	}
}

// note records where the value of f stands.
func (d *decoder) note(f field, path string) {
	at := f.at
	if f.value.kind == scalar {
		at = f.value.at
	}
	d.places[path] = at
}

func (d *decoder) json(n *node, path string, v reflect.Value) {
	text, err := json.Marshal(d.plain(n, path))
	if err != nil {
		d.fail(n.at, path, n.describe(), "what JSON can hold: "+err.Error())
		return
	}
	v.SetBytes(text)
}

// plain returns n as package json likes it.
func (d *decoder) plain(n *node, path string) any {
	switch n.kind {
	case scalar:
		if f, ok := n.value.(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
			d.fail(n.at, path, Quote(n.text), "a number that JSON can hold")
			return nil
		}
		return n.value
	case list:
		all := make([]any, len(n.items))
		for i, one := range n.items {
			all[i] = d.plain(one, Item(path, i))
		}
		return all
	case mapping:
		all := make(map[string]any, len(n.fields))
		for _, f := range n.fields {
			all[f.name] = d.plain(f.value, Child(path, f.name))
		}
		return all
	}
	return nil
}

// applyDefaults sets what a struct holds where a file says nothing. It is the only reader of the tag default.
func (d *decoder) applyDefaults(v reflect.Value) {
	if v.Kind() != reflect.Struct || IsScalar(v.Type()) {
		return
	}
	for i := range v.NumField() {
		f, tag := v.Field(i), v.Type().Field(i).Tag
		text, ok := tag.Lookup("default")
		if !ok {
			if f.Kind() == reflect.Struct {
				d.applyDefaults(f)
			}
			continue
		}
		words := []string{text}
		if f.Kind() == reflect.Slice {
			words = strings.Fields(text)
			f.Set(reflect.MakeSlice(f.Type(), len(words), len(words)))
		}
		for i, word := range words {
			one := f
			if f.Kind() == reflect.Slice {
				one = f.Index(i)
			}
			if want := d.parse(word, one, tag); want != "" {
				panic(fmt.Sprintf("form: the default %q of %s is not %s", word, v.Type().Field(i).Name, want))
			}
		}
	}
}
