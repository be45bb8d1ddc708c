package wasmhost

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir-lb/weir/wasmhost/fuel"
)

const (
	i32 = fuel.I32
	i64 = fuel.I64
)

type types = []fuel.ValType

// signature is a function of the ABI.
type signature struct {
	name     string
	typ      fuel.FuncType
	required bool
	purpose  string // in a message that it is missing
}

// guestExports are the functions that a guest has, or may have.
var guestExports = []signature{
	{"lb_abi_v1", fuel.Sig(types{i64}, types{i64}), true, "says what the guest wants of the host"},
	{"lb_alloc", fuel.Sig(types{i32, i32}, types{i32}), true, "gives the host memory to write to"},
	{"lb_init", fuel.Sig(types{i32, i32}, types{i32}), true, "takes the configuration"},
	{"lb_endpoints", fuel.Sig(types{i32}, types{i32}), true, "takes a table of endpoints"},
	{"lb_pick", fuel.Sig(types{i32}, types{i32}), true, "decides which endpoint gets an attempt"},
	{"lb_retry", fuel.Sig(types{i32}, types{i32}), false, ""},
	{"lb_feedback", fuel.Sig(types{i32, i32, i64}, nil), false, ""},
	{"lb_tick", fuel.Sig(types{i64}, nil), false, ""},
	{"lb_save", fuel.Sig(types{i32, i32}, types{i32}), false, ""},
	{"lb_restore", fuel.Sig(types{i32, i32}, types{i32}), false, ""},
	{"_initialize", fuel.Sig(nil, nil), false, ""},
}

// entries are those of them that are called for each attempt.
var entries = func() map[string]fuel.FuncType {
	t := map[string]fuel.FuncType{}
	for _, s := range guestExports {
		if s.name == "lb_pick" || s.name == "lb_retry" {
			t[s.name] = s.typ
		}
	}
	return t
}()

const memoryExport = "memory"

// checkExports reports every export of the ABI that m lacks or has wrong.
func checkExports(m *fuel.Metered) error {
	have := make(map[string]fuel.Export, len(m.Exports))
	for _, e := range m.Exports {
		have[e.Name] = e
	}
	var faults []string
	if e, ok := have[memoryExport]; !ok || e.Kind != fuel.Memory {
		faults = append(faults, `no memory is exported as "memory"`)
	}
	for _, want := range guestExports {
		switch e, ok := have[want.name]; {
		case !ok && want.required:
			fault := fmt.Sprintf("no export %q, want a function %v", want.name, want.typ)
			if near := nearest(want.name, exportNames(m)); near != "" {
				fault += fmt.Sprintf(" (there is %q)", near)
			}
			faults = append(faults, fault+": it "+want.purpose)
		case ok && e.Kind != fuel.Func:
			faults = append(faults, fmt.Sprintf("export %q is a %v, want a function %v", want.name, e.Kind, want.typ))
		case ok && e.Type != want.typ:
			faults = append(faults, fmt.Sprintf("export %q has type %v, want %v", want.name, e.Type, want.typ))
		}
	}
	for name := range have {
		if strings.HasPrefix(name, "lb_abi_v") && name != "lb_abi_v1" {
			faults = append(faults, fmt.Sprintf("%q is another version of the ABI, this host has lb_abi_v1", name))
		}
	}
	slices.Sort(faults)
	return joined(faults)
}

func exportNames(m *fuel.Metered) (names []string) {
	for _, e := range m.Exports {
		if e.Kind == fuel.Func {
			names = append(names, e.Name)
		}
	}
	return names
}

// checkImports reports every import of m that the host does not have, or has with another type.
func checkImports(m *fuel.Metered) error {
	var faults []string
	for _, im := range m.Imports {
		if im.Module == abortModule && im.Name == abortName {
			if im.Type != abortType {
				faults = append(faults, fmt.Sprintf("import %q %q has type %v, want %v", im.Module, im.Name, im.Type, abortType))
			}
			continue
		}
		functions := hostFunctions
		switch im.Module {
		case hostModule:
		case wasiModule:
			functions = wasiFunctions[:]
		default:
			faults = append(faults, fmt.Sprintf("import %q %q: there is no module %q, want %q or %q", im.Module, im.Name, im.Module, hostModule, wasiModule))
			continue
		}
		i := slices.IndexFunc(functions, func(f hostFunction) bool { return f.name == im.Name })
		if i < 0 {
			fault := fmt.Sprintf("import %q %q: there is no such function", im.Module, im.Name)
			var names []string
			for _, f := range functions {
				names = append(names, f.name)
			}
			if near := nearest(im.Name, names); near != "" {
				fault += fmt.Sprintf(" (is %q meant?)", near)
			}
			faults = append(faults, fault)
		} else if want := functions[i].typ; im.Type != want {
			faults = append(faults, fmt.Sprintf("import %q %q has type %v, want %v", im.Module, im.Name, im.Type, want))
		}
	}
	return joined(faults)
}

func joined(faults []string) error {
	if len(faults) == 0 {
		return nil
	}
	const most = 20 // a module may have thousands
	if len(faults) > most {
		faults = append(faults[:most], fmt.Sprintf("and %d more", len(faults)-most))
	}
	return fmt.Errorf("%s", strings.Join(faults, "; "))
}

// nearest returns the name that is spelled most like word, or "" if none is at all like it.
func nearest(word string, names []string) string {
	best, least := "", max(len(word)/3, 2)+1
	for _, n := range names {
		if d := distance(word, n); d < least {
			best, least = n, d
		}
	}
	return best
}

// distance is Levenshtein's: how many letters differ, are too many, or are missing.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = min(diagonal, row[j], row[j+1]) + 1
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
