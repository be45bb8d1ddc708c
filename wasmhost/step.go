package wasmhost

// Step is a step on the way from bytes to a policy that serves.
type Step string

// Steps, in order.
const (
	StepSize      Step = "size"      // size, and digest where one is wanted
	StepParse     Step = "parse"     // the binary format
	StepVet       Step = "vet"       // what the host does not allow; imports
	StepCompile   Step = "compile"   // types of operands; native code
	StepExports   Step = "exports"   // names and types of the ABI
	StepInit      Step = "init"      // instantiation, lb_abi_v1, lb_alloc, lb_init
	StepEndpoints Step = "endpoints" // lb_endpoints
	StepDryRun    Step = "dry-run"   // lb_pick on a made-up table
	StepRestore   Step = "restore"   // lb_restore of what the version before saved; its failure refuses no module
)

// StepError says at which step a module failed, and why.
type StepError struct {
	Step Step
	Err  error
}

func (e *StepError) Error() string { return string(e.Step) + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *StepError) Unwrap() error { return e.Err }
