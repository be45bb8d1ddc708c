package form

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxBytes and maxNodes bound a file as it is and with its aliases written out.
const (
	maxBytes = 4 << 20
	maxNodes = 1 << 20
)

type kind uint8

const (
	nothing kind = iota
	scalar
	list
	mapping
	broken // and the mistake is noted
)

// node is a YAML value with its place, its aliases and merge keys resolved.
type node struct {
	kind   kind
	at     Place
	text   string // of a scalar, as written but for quotes
	value  any    // of a scalar, as YAML types it
	items  []*node
	fields []field
	size   int // nodes in it, itself included
}

type field struct {
	name  string
	at    Place
	value *node
}

// describe says what n is in a message.
func (n *node) describe() string {
	switch n.kind {
	case scalar:
		return Quote(n.text)
	case list:
		return "a list"
	case mapping:
		return "a mapping"
	}
	return "nothing"
}

// reader turns the parser's tree into nodes. It notes mistakes in errs and goes on.
type reader struct {
	file    string
	anchors map[string]*node
	errs    Errors
}

// read parses a file of one document. Its result is never nil.
func (r *reader) read(data []byte) *node {
	top := &node{at: Place{r.file, 1, 1}}
	if len(data) > maxBytes {
		r.fail(top.at, "", fmt.Sprintf("%d bytes", len(data)), fmt.Sprintf("at most %d", maxBytes))
		return top
	}
	f, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at, message := top.at, err.Error()
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			message = syntax.GetMessage()
			if t := syntax.GetToken(); t != nil {
				at = r.place(t)
			}
		}
		r.fail(at, "", "invalid YAML: "+message, "valid YAML")
		return top
	}
	r.anchors = map[string]*node{}
	seen := false
	for _, d := range f.Docs {
		if d.Body == nil || d.Body.Type() == ast.CommentType || d.Body.Type() == ast.DirectiveType {
			continue
		}
		if seen {
			r.fail(r.place(d.Start), "", "a second document", "one a file")
			break
		}
		seen = true
		top = r.node(d.Body, "")
	}
	return top
}

func (r *reader) fail(at Place, path, got, want string) {
	r.errs = append(r.errs, &Error{File: r.file, Line: at.Line, Column: at.Column, Path: path, Got: got, Want: want})
}

func (r *reader) place(t *token.Token) Place {
	if t == nil || t.Position == nil {
		return Place{r.file, 1, 1}
	}
	return Place{r.file, t.Position.Line, t.Position.Column}
}

func (r *reader) node(in ast.Node, path string) *node {
	if in == nil {
		return &node{at: Place{r.file, 1, 1}, size: 1}
	}
	n := &node{at: r.place(in.GetToken()), size: 1}
	switch in := in.(type) {
	case *ast.NullNode:
	case *ast.StringNode:
		n.kind, n.text, n.value = scalar, in.Value, in.Value
	case *ast.LiteralNode:
		n.kind, n.text, n.value = scalar, in.Value.Value, in.Value.Value
	case *ast.IntegerNode:
		n.kind, n.text, n.value = scalar, in.Token.Value, in.Value
	case *ast.FloatNode:
		n.kind, n.text, n.value = scalar, in.Token.Value, in.Value
	case *ast.BoolNode:
		n.kind, n.text, n.value = scalar, in.Token.Value, in.Value
	case *ast.InfinityNode:
		n.kind, n.text, n.value = scalar, in.Token.Value, in.Value
	case *ast.NanNode:
		n.kind, n.text, n.value = scalar, in.Token.Value, math.NaN()
	case *ast.SequenceNode:
		n.kind = list
		for i, v := range in.Values {
			n.add(r.node(v, Item(path, i)))
		}
	case *ast.MappingNode:
		n.kind = mapping
		if len(in.Values) > 0 && !in.IsFlowStyle {
			n.at = r.place(in.Values[0].Key.GetToken())
		}
		r.fields(n, in.Values, path)
	case *ast.MappingValueNode:
		n.kind = mapping
		n.at = r.place(in.Key.GetToken())
		r.fields(n, []*ast.MappingValueNode{in}, path)
	case *ast.AnchorNode:
		n = r.node(in.Value, path)
		r.anchors[in.Name.GetToken().Value] = n
	case *ast.AliasNode:
		name := in.Value.GetToken().Value
		if known := r.anchors[name]; known != nil {
			return known
		}
		n.kind = broken
		r.fail(n.at, path, Quote("*"+name), "the name of an anchor further up")
	default:
		n.kind = broken
		r.fail(n.at, path, fmt.Sprintf("a YAML %s", strings.ToLower(in.Type().String())), "a value without it")
	}
	if n.size > maxNodes {
		r.fail(n.at, path, "aliases that expand to more than a million values", "fewer")
		*n = node{kind: broken, at: n.at, size: 1}
	}
	return n
}

func (n *node) add(child *node) {
	n.items = append(n.items, child)
	n.size = min(n.size+child.size, 2*maxNodes)
}

// fields reads a mapping. Its own keys win over those it merges, and of two merged mappings the first.
func (r *reader) fields(n *node, pairs []*ast.MappingValueNode, path string) {
	var merged []field
	seen := make(map[string]Place, len(pairs))
	for _, p := range pairs {
		at := r.place(p.Key.GetToken())
		if p.Key.IsMergeKey() {
			merged = append(merged, r.merge(p.Value, path)...)
			continue
		}
		name, ok := p.Key.(ast.ScalarNode)
		if !ok {
			r.fail(at, path, fmt.Sprintf("a %s as a key", p.Key.Type()), "a plain word")
			continue
		}
		key := name.GetToken().Value
		value := r.node(p.Value, Child(path, key))
		if first, ok := seen[key]; ok {
			r.fail(at, Child(path, key), fmt.Sprintf("the key again (first on line %d)", first.Line), "it once")
			continue
		}
		seen[key] = at
		if value.kind == nothing {
			value.at = at // an absent value has no place of its own
		}
		n.fields = append(n.fields, field{key, at, value})
		n.size = min(n.size+value.size, 2*maxNodes)
	}
	for _, f := range merged {
		if _, ok := seen[f.name]; !ok {
			seen[f.name] = f.at
			n.fields = append(n.fields, f)
			n.size = min(n.size+f.value.size, 2*maxNodes)
		}
	}
}

// merge returns the fields that a merge key brings.
func (r *reader) merge(in ast.Node, path string) []field {
	path = strings.TrimPrefix(path+".<<", ".")
	from := r.node(in, path)
	switch from.kind {
	case mapping:
		return from.fields
	case list:
		var all []field
		for _, i := range from.items {
			if i.kind != mapping && i.kind != broken {
				r.fail(i.at, path, i.describe(), "a mapping")
			}
			all = append(all, i.fields...)
		}
		return all
	}
	if from.kind != broken {
		r.fail(from.at, path, from.describe(), "an alias of a mapping, or a list of them")
	}
	return nil
}
