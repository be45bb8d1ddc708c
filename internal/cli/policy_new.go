package cli

import (
	"strings"

	"github.com/weir-lb/weir/internal/workbench"
)

type policyNewCmd struct {
	Name string `arg:"" help:"Of the policy, and of the folder that is made."`
	Lang string `required:"" enum:"c,rust,assemblyscript,go,zig,wat" help:"One of ${enum}."`
	Dir  string `default:"." type:"path" help:"Where the folder is made."`
}

// Run writes a project that builds, passes its tests, and says how.
func (c policyNewCmd) Run(s *streams) error {
	project, err := workbench.NewProject(c.Name, c.Lang, c.Dir)
	if err != nil {
		return err
	}
	p := paint(s.out)
	dir := shortPath(project.Dir)
	p.printf("%s  %s\n", p.green("written"), dir)
	for _, f := range project.Files {
		p.printf("  %s\n", f)
	}
	p.printf("\nBuilding needs %s.\n\n", strings.ReplaceAll(project.Needs, "`", ""))
	p.printf("  cd %s && make\n  weir policy test %s.wasm\n\nThen make %s yours.\n", dir, c.Name, project.Source)
	return nil
}
