// Package cli is the command line of weir: one file a command.
package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"
)

// Exit statuses.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// commands is what kong reads the command line into.
type commands struct {
	Run    runCmd   `cmd:"" help:"Serve until SIGTERM (drains, exit 0) or SIGINT twice; SIGHUP reloads."`
	Demo   demoCmd  `cmd:"" help:"The main job on an embedded default: three endpoints, a gateway with a Wasm policy, one endpoint killed."`
	Check  checkCmd `cmd:"" help:"Validate a config and every policy it names: all errors at once, file:line:column."`
	Policy struct {
		New   policyNewCmd   `cmd:"" help:"Write a project with a policy that works, in a language of your choice."`
		Check policyCheckCmd `cmd:"" help:"Vet, meter, compile and dry-run a module; say what it exports, imports and costs."`
		Test  policyTestCmd  `cmd:"" help:"Hold a module to the laws and to the cases beside it, in virtual time; or replay a trace with it."`
		Bench policyBenchCmd `cmd:"" help:"Measure a module: nanoseconds, fuel and allocations of a pick, and how long it takes to start."`
	} `cmd:"" help:"Work on Wasm policies."`
	Sim struct {
		Run          simRunCmd          `cmd:"" default:"withargs" help:"Run policies through a scenario, side by side, and hold them to what it expects."`
		Availability simAvailabilityCmd `cmd:"" help:"Say how available units with spares are: by formula, and simulated."`
	} `cmd:"" help:"Simulate: real policies, native or Wasm, a fleet and a bad day that are not."`
	Explain explainCmd `cmd:"" help:"Ask a running gateway what it would do with a request, and why; nothing is sent upstream."`
	Version versionCmd `cmd:"" help:"Print the version."`

	DemoEndpoint demoEndpointCmd `cmd:"" hidden:""`
}

// streams are the standard streams of the process, or of a test.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// exit carries kong's wish to end the process, after --help, up to Run.
type exit int

// Run runs the command line args (without the program's name) and returns the exit status: 0, 1 for a failure, which
// is told on stderr, 2 for wrong usage.
func Run(args []string, stdin io.Reader, stdout, stderr io.Writer) (status int) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(exit)
			if !ok {
				panic(r)
			}
			status = int(e)
		}
	}()
	var c commands
	parser := kong.Must(&c, kong.Name("weir"), kong.Writers(stdout, stderr), kong.UsageOnError(),
		kong.Description("An edge HTTP load balancer whose decisions are WebAssembly functions."),
		kong.Exit(func(code int) { panic(exit(code)) }))
	ctx, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "weir: %v\n", err)
		var pe *kong.ParseError
		if errors.As(err, &pe) {
			fmt.Fprintln(stderr, "Run \"weir --help\" for what there is.")
		}
		return exitUsage
	}
	if err := ctx.Run(&streams{stdin, stdout, stderr}); err != nil {
		if !errors.Is(err, errTold) {
			fmt.Fprintf(stderr, "weir: %v\n", err)
		}
		return exitFailure
	}
	return exitOK
}

// errTold ends a command in failure that has already said why.
var errTold = errors.New("failed")
