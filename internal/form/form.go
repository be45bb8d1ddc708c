// Package form reads YAML into a tree of structs, strictly: a key that the tree does not have, a value of another form
// or out of its range, a key given twice are mistakes, each with its place and, where one is near, the word that was
// meant. All mistakes are told at once.
//
// The tree says what it takes by the tags of its fields: yaml (the key), default, min, max, zero (what 0 means, where it
// is out of the range), oneof, as (a unit, "size" or "percent", or a form of text from [Options.Texts]), key (the form of
// a mapping's keys) and later (keys that a coming version has).
package form

import (
	"fmt"
	"reflect"
	"strings"
)

// Text is a form that a text can have.
type Text struct {
	Want  string // in messages: "host:port, ports 1..65535"
	Lower bool   // it is kept in lower case
	// OK says whether a text has the form. Nil takes any.
	OK func(text string) bool
	// Read, if not nil, is asked instead of OK. It returns what the text stands for, or what was wanted.
	Read func(text string) (value, want string)
}

// Name is the form of names. Keys of mappings to pointers have it.
var Name = Text{Want: "1..64 letters, digits, - _ and .", OK: isName}

func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && strings.IndexByte("-_.", c) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// Options are what a file is read against.
type Options struct {
	Texts map[string]Text // by the tag as
	Want  string          // the whole file, in messages: "a mapping with listeners, clusters and routes"
}

// Document is a file that was read.
type Document struct {
	Places Places
	Errs   Errors
	Whole  bool // the file is a mapping: the tree holds what could be read of it

	tree reflect.Value
	decoder
}

// Read reads data, the content of file, into tree, a pointer to a struct. What is wrong or absent keeps its default.
func Read(file string, data []byte, tree any, o Options) *Document {
	r := reader{file: file}
	top := r.read(data)
	doc := &Document{tree: reflect.ValueOf(tree).Elem(), Places: Places{"": top.at}}
	doc.decoder = decoder{texts: o.Texts, places: doc.Places, errs: r.errs}
	doc.applyDefaults(doc.tree)
	switch {
	case top.kind == mapping:
		doc.Whole = true
		doc.value(top, "", doc.tree, "")
	case len(r.errs) == 0:
		doc.fail(top.at, "", top.describe(), o.Want)
	}
	doc.Errs = doc.errs
	return doc
}

// Set puts text over the value at path, which goes through structs alone, as if the file had it there. Mistakes in it
// are told of the file origin, such as the name of an environment variable.
func (doc *Document) Set(path, text, origin string) {
	field, tag := doc.tree, reflect.StructTag("")
	for key := range strings.SplitSeq(path, ".") {
		field, tag = fieldOf(field, key)
	}
	at := Place{File: origin}
	doc.places[path] = at
	doc.value(&node{kind: scalar, text: text, at: at}, path, field, tag)
	doc.Errs = doc.errs
}

func fieldOf(v reflect.Value, key string) (reflect.Value, reflect.StructTag) {
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag; tag.Get("yaml") == key {
			return v.Field(i), tag
		}
	}
	panic(fmt.Sprintf("form: %s has no key %q", v.Type(), key))
}
