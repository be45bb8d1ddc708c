package workbench

import (
	"maps"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/weir-lb/weir/examples/plugins"
	"github.com/weir-lb/weir/policies/policytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// subject puts a module on the bench: an example, or one of testdata.
func subject(t *testing.T, name string) *Subject {
	t.Helper()
	wasm, err := plugins.Files.ReadFile(name + "/" + name + ".wasm")
	if err != nil {
		if wasm, err = os.ReadFile("testdata/" + name + ".wasm"); err != nil {
			t.Fatal(err)
		}
	}
	s := &Subject{Name: name, Wasm: wasm, Seed: 1}
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// tell runs cases and returns their results.
func tell(t *testing.T, s *Subject, text string) (all []Result) {
	t.Helper()
	c, err := ParseCases("cases.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Admit(c); err != nil {
		t.Fatal(err)
	}
	s.Run(c, func(r Result) { all = append(all, r) })
	return all
}

// failures is what people read of them.
func failures(r Result) string {
	var b strings.Builder
	for _, f := range r.Failures {
		b.WriteString(f.At + ": " + f.What)
		if f.Want != "" {
			b.WriteString("; want " + f.Want + "; got " + f.Got)
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestLaws(t *testing.T) {
	for name, want := range map[string]string{
		"p2c":      "",
		"stubborn": "the guest named an endpoint that is down or was tried",
	} {
		t.Run(name, func(t *testing.T) {
			s := subject(t, name)
			c, err := ParseCases("cases.yaml", []byte("laws: {shares: by_load}\ncases: []\n"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Admit(c); err != nil {
				t.Fatal(err)
			}
			var broken []string
			n := 0
			s.Laws(c, func(r Result) {
				n++
				if broken = append(broken, failures(r)); r.Took <= 0 && r.Skipped == "" {
					t.Errorf("%s took %v", r.Name, r.Took)
				}
			})
			got := strings.Join(broken, "")
			if n != len(policytest.Laws()) || (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%d laws, broken: %s\nwant %q", n, got, want)
			}
		})
	}
	t.Run("what_is_not_claimed_is_not_asked", func(t *testing.T) {
		s := subject(t, "p2c")
		skipped := map[string]int{}
		s.Laws(nil, func(r Result) {
			if r.Skipped != "" {
				skipped[r.Skipped]++
			}
			if !r.OK() {
				t.Errorf("%s: %s", r.Name, failures(r))
			}
		})
		if want := map[string]int{"no shares are claimed": 4, "keys are not claimed to stay": 2}; !maps.Equal(skipped, want) {
			t.Errorf("laws are not asked for %v, want %v", skipped, want)
		}
	})
	t.Run("only_those_that_are_asked_for", func(t *testing.T) {
		s := subject(t, "p2c")
		s.Only = "allocates"
		s.Laws(nil, func(r Result) {
			if r.Name != "a pick allocates nothing" {
				t.Error(r.Name)
			}
		})
	})
}

func TestMeasurement(t *testing.T) {
	s := subject(t, "p2c")
	m, err := s.Bench(4, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	if m.Picks.Nanos <= m.Null.Nanos || m.Native.Nanos <= 0 || m.Fuel < 64 || m.Contended <= 0 || m.Instances < 1 || m.Unasked > 0 ||
		m.Compile.Cold <= 0 || m.FirstPick.Cold < m.Compile.Cold || m.FirstPick.Cached <= 0 || m.Instance <= 0 || m.Endpoints != 4 {
		t.Errorf("%+v", m)
	}
}
