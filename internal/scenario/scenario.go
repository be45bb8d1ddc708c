// Package scenario reads files that describe a bad day, or an experiment of the literature, runs policies through it in
// the simulator, and holds what comes out to the figures that the file expects.
package scenario

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/weir-lb/weir/internal/form"
)

// Scenario is a file.
type Scenario struct {
	Name   string `yaml:"name"`
	About  string `yaml:"about" as:"prose"`  // what is asked
	Source string `yaml:"source" as:"prose"` // of the figures
	File   string `yaml:"-"`

	Servers  []Group            `yaml:"servers"`
	Service  string             `yaml:"service" as:"times"`
	Arrivals Arrivals           `yaml:"arrivals"`
	Keys     string             `yaml:"keys" as:"keys"`
	Gateways int                `yaml:"gateways" default:"1" min:"1" max:"1000"`
	Zone     string             `yaml:"zone"`
	Requests int                `yaml:"requests" default:"0" min:"1" max:"100000000" zero:"as many as come in duration"`
	Duration time.Duration      `yaml:"duration" default:"0s" min:"1ms" max:"8760h" zero:"until all requests came"`
	Runs     int                `yaml:"runs" default:"1" min:"1" max:"100"`
	WarmUp   float64            `yaml:"warm_up" as:"percent" default:"20%" min:"0%" max:"90%"`
	Fan      int                `yaml:"fan" default:"1" min:"1" max:"10000"`
	Timeout  time.Duration      `yaml:"timeout" default:"0s" min:"1us" max:"1h" zero:"none"`
	Retry    Retry              `yaml:"retry"`
	Hedge    time.Duration      `yaml:"hedge" default:"0s" min:"1us" max:"1h" zero:"none"`
	Abandon  bool               `yaml:"abandon"`
	Queue    Queue              `yaml:"queue"`
	Detect   string             `yaml:"detect" as:"times"`
	Recover  string             `yaml:"recover" as:"times"`
	Weights  Weights            `yaml:"weights"`
	Bound    float64            `yaml:"bound" default:"0" min:"1" max:"100" zero:"none is counted"`
	Faults   []Fault            `yaml:"faults"`
	Trouble  Trouble            `yaml:"trouble"`
	Policies map[string]*Policy `yaml:"policies"`
	Compare  []string           `yaml:"compare" as:"policy" default:"round_robin p2c"`
	Cases    []Case             `yaml:"cases"`
	Expect   []Expect           `yaml:"expect"`

	places form.Places
}

// Group is so many servers that are alike.
type Group struct {
	Name    string            `yaml:"name" as:"name" default:"s"` // 0, 1 ... is added
	Count   int               `yaml:"count" default:"1" min:"1" max:"65536"`
	Weight  int               `yaml:"weight" default:"1" min:"0" max:"65535"`
	Tier    int               `yaml:"tier" default:"0" min:"0" max:"3"`
	Zone    string            `yaml:"zone"`
	Meta    map[string]string `yaml:"meta"`
	Serves  string            `yaml:"serves" default:"queue" oneof:"queue sharing delay"`
	Speed   float64           `yaml:"speed" default:"1" min:"0.001" max:"1000"`
	Workers int               `yaml:"workers" default:"1" min:"1" max:"100000"`
	Cores   float64           `yaml:"cores" default:"1" min:"0.01" max:"10000"`
	Service string            `yaml:"service" as:"times"`
}

// Arrivals are when requests come.
type Arrivals struct {
	Rate    float64 `yaml:"rate" default:"0" min:"0.001" max:"10000000" zero:"see load"`
	Load    float64 `yaml:"load" as:"percent" default:"0%" min:"1%" max:"1000%" zero:"see rate"`
	Pattern string  `yaml:"pattern" default:"poisson" oneof:"poisson paced"`
	Steps   []Step  `yaml:"steps"`
	Trace   string  `yaml:"trace"`
}

// Step is a rate from a time on.
type Step struct {
	At   time.Duration `yaml:"at" default:"0s" min:"0s" max:"8760h"`
	Rate float64       `yaml:"rate" default:"0" min:"0" max:"10000000"`
	Load float64       `yaml:"load" as:"percent" default:"0%" min:"1%" max:"1000%" zero:"see rate"`
}

// Retry is what follows an attempt that fails.
type Retry struct {
	Attempts int           `yaml:"attempts" default:"1" min:"1" max:"8"`
	Budget   float64       `yaml:"budget" as:"percent" default:"20%" min:"1%" max:"100%" zero:"none, retries have no bound"`
	PerTry   time.Duration `yaml:"per_try_timeout" default:"0s" min:"1us" max:"1h" zero:"its part of what is left of timeout"`
	Backoff  time.Duration `yaml:"backoff" default:"0s" min:"1us" max:"1h" zero:"none"`
}

// Queue is whom servers serve next.
type Queue struct {
	Limit       int           `yaml:"limit" default:"0" min:"1" max:"1000000" zero:"none"`
	DropExpired bool          `yaml:"drop_expired"`
	Wait        time.Duration `yaml:"wait" default:"0s" min:"1us" max:"1h" zero:"as long as it takes"`
	TightWait   time.Duration `yaml:"tight_wait" default:"0s" min:"1us" max:"1h" zero:"wait"`
}

// Weights say where the weights of servers come from.
type Weights struct {
	From     string        `yaml:"from" default:"own" oneof:"own equal load"`
	Blackout time.Duration `yaml:"blackout" default:"10s" min:"1ms" max:"1h"`
	Every    time.Duration `yaml:"every" default:"1s" min:"1ms" max:"1h"`
}

// Fault happens to a server, or to several.
type Fault struct {
	At       time.Duration `yaml:"at" default:"0s" min:"0s" max:"8760h"`
	Servers  []string      `yaml:"servers"` // names; those of a group by the group's
	What     string        `yaml:"what" oneof:"crash hang fail pause heal slow serve partition"`
	Gateways []int         `yaml:"gateways" min:"0" max:"999"` // of a partition
	Speed    float64       `yaml:"speed" default:"0" min:"0.001" max:"1000" zero:"its own"`
	Cores    float64       `yaml:"cores" default:"0" min:"0.01" max:"10000" zero:"its own"`
	Service  string        `yaml:"service" as:"times"`
	For      time.Duration `yaml:"for" default:"0s" min:"1us" max:"8760h" zero:"until something else happens"`
	Every    time.Duration `yaml:"every" default:"0s" min:"1us" max:"8760h" zero:"it happens once"`
	Times    int           `yaml:"times" default:"1" min:"1" max:"100000"`
}

// Trouble is neighbours that come and go at every server, each by chance.
type Trouble struct {
	Share float64       `yaml:"share" as:"percent" default:"0%" min:"1%" max:"99%" zero:"none"`
	Mean  time.Duration `yaml:"mean" default:"20s" min:"1ms" max:"1h"`
	Speed float64       `yaml:"speed" default:"1" min:"0.001" max:"1000"`
	Cores float64       `yaml:"cores" default:"0" min:"0.01" max:"10000" zero:"its own"`
}

// Policy is a module to compare, or a built-in policy that is not as it comes.
type Policy struct {
	Name     string          `yaml:"-"`
	Wasm     string          `yaml:"wasm"`
	Choices  int             `yaml:"choices" default:"0" min:"2" max:"10" zero:"the policy is a module"` // of p2c, in place of a module
	Config   json.RawMessage `yaml:"config"`
	Fallback string          `yaml:"fallback" as:"built-in" default:"p2c"`
	Large    bool            `yaml:"large"`
	Profile  string          `yaml:"profile" default:"default" oneof:"default gc"`
}

// Case is the scenario with something changed. What is not set stays.
type Case struct {
	Name     string        `yaml:"name"`
	Rate     float64       `yaml:"rate" default:"0" min:"0.001" max:"10000000" zero:"as it is"`
	Load     float64       `yaml:"load" as:"percent" default:"0%" min:"1%" max:"1000%" zero:"as it is"`
	Requests int           `yaml:"requests" default:"0" min:"1" max:"100000000" zero:"as it is"`
	Runs     int           `yaml:"runs" default:"0" min:"1" max:"100" zero:"as it is"`
	Gateways int           `yaml:"gateways" default:"0" min:"1" max:"1000" zero:"as it is"`
	Fan      int           `yaml:"fan" default:"0" min:"1" max:"10000" zero:"as it is"`
	Service  string        `yaml:"service" as:"times"`
	Keys     string        `yaml:"keys" as:"keys"`
	Hedge    time.Duration `yaml:"hedge" default:"0s" min:"1us" max:"1h" zero:"as it is"`
	Budget   float64       `yaml:"budget" as:"percent" default:"0%" min:"1%" max:"100%" zero:"as it is"`
	Queue    Queue         `yaml:"queue"` // whole, if it is set
	Weights  string        `yaml:"weights" default:"same" oneof:"same own equal load"`
	Compare  []string      `yaml:"compare" as:"policy"`
}

// Expect is a figure, and how far it may be off.
type Expect struct {
	Case    string        `yaml:"case"` // "": each
	Policy  string        `yaml:"policy" as:"policy"`
	Metric  string        `yaml:"metric" as:"metric"`
	Than    Than          `yaml:"than"`
	From    time.Duration `yaml:"from" default:"0s" min:"0s" max:"8760h"`
	To      time.Duration `yaml:"to" default:"0s" min:"1ms" max:"8760h" zero:"the end"`
	Want    string        `yaml:"want" as:"figure"`
	Within  string        `yaml:"within" as:"figure"`
	AtMost  string        `yaml:"at_most" as:"figure"`
	AtLeast string        `yaml:"at_least" as:"figure"`
	Source  string        `yaml:"source" as:"prose"`
}

// Than is another run: what is expected is the metric over that of the other.
type Than struct {
	Case   string `yaml:"case"`               // "": the same
	Policy string `yaml:"policy" as:"policy"` // "": the same
}

// Load reads a file. Mistakes are told all at once: the error is of type form.Errors.
func Load(path string) (*Scenario, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		if p, ok := errors.AsType[*fs.PathError](err); ok {
			err = p.Err
		}
		return nil, form.Errors{{File: path, Got: err.Error(), Want: "a readable file"}}
	}
	return Parse(path, data)
}

// Parse is Load of data.
func Parse(path string, data []byte) (*Scenario, error) {
	s := &Scenario{File: path}
	doc := form.Read(path, data, s, form.Options{Texts: texts, Want: "a mapping with servers and arrivals"})
	s.places = doc.Places
	if doc.Whole && len(doc.Errs) == 0 {
		doc.Errs = s.check()
	}
	if len(doc.Errs) > 0 {
		doc.Errs.Sort()
		return nil, doc.Errs
	}
	if s.Name == "" {
		s.Name = filepath.Base(path)
	}
	return s, nil
}
