package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker; a build without it tells the commit that the go command recorded.
var version string

type versionCmd struct{}

// Run prints version, commit and toolchain.
func (versionCmd) Run(s *streams) error {
	v := Version()
	_, err := fmt.Fprintf(s.out, "weir %s %s %s/%s\n", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// Version names this build.
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(len(s.Value), 12)]
		}
	}
	return info.Main.Version
}
