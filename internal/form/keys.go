package form

import (
	"fmt"
	"reflect"
	"strings"
)

// Key is one key of a tree, as a page that documents the tree has it.
type Key struct {
	Path    string // elements of lists are [], names in mappings NAME
	Default string // in Markdown; "-" if there is none
	Accepts string // in Markdown
}

// Keys lists the keys of a tree of type t in the order of its fields.
func Keys(t reflect.Type) []Key { return keys(t, "") }

func keys(t reflect.Type, path string) (all []Key) {
	for f := range t.Fields() {
		name := f.Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		at, ft := elements(strings.TrimPrefix(path+"."+name, "."), f.Type)
		if ft.Kind() == reflect.Struct && !IsScalar(ft) {
			all = append(all, keys(ft, at)...)
			continue
		}
		all = append(all, Key{at, defaultCell(f), acceptsCell(ft, f.Tag)})
	}
	return all
}

// elements goes from lists and mappings to what is in them.
func elements(path string, t reflect.Type) (string, reflect.Type) {
	switch {
	case t == rawJSON:
	case t.Kind() == reflect.Slice:
		return elements(path+"[]", t.Elem())
	case t.Kind() == reflect.Map:
		return elements(path+".NAME", t.Elem())
	case t.Kind() == reflect.Pointer:
		return elements(path, t.Elem())
	}
	return path, t
}

func defaultCell(f reflect.StructField) string {
	text, ok := f.Tag.Lookup("default")
	switch {
	case !ok && f.Type.Kind() == reflect.Bool:
		return "`false`"
	case !ok:
		return "-"
	case f.Type.Kind() == reflect.Slice:
		return "`[" + strings.ReplaceAll(text, " ", ", ") + "]`"
	}
	return "`" + text + "`"
}

func acceptsCell(t reflect.Type, tag reflect.StructTag) string {
	switch {
	case tag.Get("oneof") != "":
		return "`" + strings.ReplaceAll(tag.Get("oneof"), " ", "`, `") + "`"
	case tag.Get("max") != "":
		cell := fmt.Sprintf("%s..%s", tag.Get("min"), tag.Get("max"))
		if zero := tag.Get("zero"); zero != "" {
			cell += fmt.Sprintf("; `%s`: %s", zeroOf(t, tag), zero)
		}
		return cell
	case t == rawJSON:
		return "anything"
	case t == prefixType:
		return "network"
	case t.Kind() == reflect.Bool:
		return "`true`, `false`"
	case tag.Get("as") != "":
		return tag.Get("as")
	}
	return "text"
}
