package cli

import (
	"cmp"
	"fmt"
	"time"

	"github.com/weir-lb/weir/internal/workbench"
)

type policyTestCmd struct {
	moduleFlags
	Cases string `type:"path" placeholder:"FILE" help:"Cases; without it cases.yaml beside the module, if there is one."`
	Seed  uint64 `default:"1" help:"Source of all chance: equal seeds give equal runs."`
	Only  string `placeholder:"TEXT" help:"Only laws and cases whose name has TEXT in it."`
	replayFlags
}

// Run holds the module to the laws and to its cases, or replays a trace with it.
func (c policyTestCmd) Run(s *streams) error {
	if c.Replay != "" {
		return c.replay(s)
	}
	wasm, err := c.read()
	if err != nil {
		return err
	}
	var cases *workbench.Cases
	file := cmp.Or(c.Cases, workbench.FindCases(c.File))
	if file != "" {
		if cases, err = workbench.LoadCases(shortPath(file)); err != nil {
			fmt.Fprintln(s.err, err) // one line a mistake
			return errTold
		}
	}
	subject := c.subject(wasm)
	subject.Seed, subject.Only = c.Seed, c.Only
	if cases != nil {
		subject.Options = cases.Load(subject.Options)
	}
	if err := subject.Open(); err != nil {
		return err
	}
	defer subject.Close()
	info, err := subject.Admit(cases)
	if err != nil {
		return c.refused(s, err)
	}
	t := &trials{Module: c.File, SHA256: info.SHA256, Seed: c.Seed, Cases: file, paint: paint(s.out), silent: c.JSON, begin: time.Now()}
	t.heading("laws", "what holds for every policy")
	subject.Laws(cases, func(r workbench.Result) { t.take(&t.LawResults, r) })
	if cases != nil {
		t.heading("cases", shortPath(file))
		subject.Run(cases, func(r workbench.Result) { t.take(&t.CaseResults, r) })
	}
	if c.Only != "" && len(t.LawResults)+len(t.CaseResults) == 0 {
		return fmt.Errorf("--only %q: no law and no case has that in its name", c.Only)
	}
	if c.JSON {
		err = printJSON(s.out, t)
	} else {
		t.summary(c)
	}
	if err == nil && t.failed > 0 {
		err = errTold
	}
	return err
}

// trials are the laws and cases of one run.
type trials struct {
	Module      string             `json:"module"`
	SHA256      string             `json:"sha256"`
	Seed        uint64             `json:"seed"`
	OK          bool               `json:"ok"`
	LawResults  []workbench.Result `json:"laws"`
	Cases       string             `json:"cases_file,omitempty"`
	CaseResults []workbench.Result `json:"cases,omitempty"`

	paint  painter
	silent bool
	begin  time.Time
	failed int
}

func (t *trials) heading(name, what string) {
	if !t.silent {
		t.paint.printf("%s  %s\n", t.paint.bold(name), t.paint.faint(what))
	}
}

// take notes a result, and shows it.
func (t *trials) take(to *[]workbench.Result, r workbench.Result) {
	*to = append(*to, r)
	if !r.OK() {
		t.failed++
	}
	t.OK = t.failed == 0
	if t.silent {
		return
	}
	p := t.paint
	switch {
	case r.Skipped != "":
		p.printf("  %s\n", p.faint("-     "+r.Name+": "+r.Skipped))
		return
	case r.OK():
		p.printf("  %s    %s  %s\n", p.green("ok"), r.Name, p.faint(short(r.Took)))
		return
	}
	p.printf("  %s  %s  %s\n", p.red("FAIL"), r.Name, p.faint(short(r.Took)))
	for _, f := range r.Failures {
		what := indented(f.What, 8)
		if f.At != "" {
			what = f.At + ": " + what
		}
		p.printf("        %s\n", what)
		if f.Want != "" {
			p.printf("          want  %s\n          got   %s\n", f.Want, p.red(f.Got))
		}
	}
	if len(r.Log) > 0 {
		p.printf("        %s\n", p.faint("what the guest logged last:"))
		for _, line := range r.Log {
			p.printf("          %s\n", p.faint(line))
		}
	}
}

// summary ends what people read.
func (t *trials) summary(c policyTestCmd) {
	verdict := t.paint.green("ok")
	if t.failed > 0 {
		verdict = t.paint.red(fmt.Sprintf("%d FAILED", t.failed))
	}
	t.paint.printf("\n%s  %s, %s  %s\n", verdict, count(len(t.LawResults), "law", "laws"), count(len(t.CaseResults), "case", "cases"),
		t.paint.faint(short(time.Since(t.begin))))
	if t.Cases == "" {
		t.paint.printf("%s\n", t.paint.faint("There is no cases.yaml beside the module: docs/POLICY-TESTS.md says how to write one."))
	}
}
