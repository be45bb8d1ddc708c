package workbench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/weir-lb/weir/internal/form"
	"github.com/weir-lb/weir/wasmhost"
)

// Cases are a file of cases.
type Cases struct {
	Large     bool            `yaml:"large"`                                        // the module carries a language runtime, such as Go's
	Profile   string          `yaml:"profile" default:"default" oneof:"default gc"` // of fuel
	Config    json.RawMessage `yaml:"config"`                                       // handed to lb_init, in the laws too, unless a case has its own
	Laws      Claims          `yaml:"laws"`                                         // what the policy promises
	Zone      string          `yaml:"zone"`                                         // of the gateway
	Endpoints []Endpoint      `yaml:"endpoints"`                                    // of each case that has none of its own
	Cases     []Case          `yaml:"cases"`

	places form.Places
}

// Case is a story: what happens, and what is expected.
type Case struct {
	Name      string          `yaml:"name"`
	Config    json.RawMessage `yaml:"config"`
	Fallback  string          `yaml:"fallback" as:"built-in" default:"p2c"` // decides where the guest defers
	Endpoints []Endpoint      `yaml:"endpoints"`
	Steps     []Step          `yaml:"steps"`
}

// Endpoint is an endpoint, and how it behaves.
type Endpoint struct {
	Name    string            `yaml:"name" as:"name"`
	Weight  int               `yaml:"weight" default:"1" min:"0" max:"65535"`
	Tier    int               `yaml:"tier" default:"0" min:"0" max:"3"`
	Zone    string            `yaml:"zone"`
	Canary  bool              `yaml:"canary"`
	Spare   bool              `yaml:"spare"`
	Meta    map[string]string `yaml:"meta"`
	State   string            `yaml:"state" default:"up" oneof:"up degraded down"`
	Takes   time.Duration     `yaml:"takes" default:"10ms" min:"0s" max:"1h"` // an attempt
	Answers string            `yaml:"answers" as:"outcome" default:"200"`
	Columns Columns           `yaml:"columns"`
}

// Columns are live figures as they are set. Those that are not set follow from the attempts, or stay as they are.
type Columns struct {
	Inflight        int `yaml:"inflight" default:"0" min:"0" max:"4294967295"`
	EWMA            int `yaml:"ewma_us" default:"0" min:"0" max:"4294967295"`
	ErrPPM          int `yaml:"err_ppm" default:"0" min:"0" max:"1000000"`
	RPSMilli        int `yaml:"rps_milli" default:"0" min:"0" max:"4294967295"`
	ConsecutiveFail int `yaml:"consecutive_fail" default:"0" min:"0" max:"4294967295"`
	LoadPPM         int `yaml:"load_ppm" default:"4294967295" min:"0" max:"4294967295"`
	HeartbeatAge    int `yaml:"heartbeat_age_ms" default:"4294967295" min:"0" max:"4294967295"`
}

// Step is something that happens.
type Step struct {
	At     time.Duration        `yaml:"at" default:"0s" min:"1ns" max:"24h" zero:"when the step before has ended"`
	After  time.Duration        `yaml:"after" default:"0s" min:"0s" max:"24h"`
	Add    []Endpoint           `yaml:"add"`
	Remove []string             `yaml:"remove"`
	Set    map[string]*Endpoint `yaml:"set"` // by name: what is named changes, the rest stays
	Send   *Send                `yaml:"send"`
	Expect *Expect              `yaml:"expect"`
}

// Send lets requests come.
type Send struct {
	Requests       int               `yaml:"requests" default:"1" min:"1" max:"1000000"`
	Every          time.Duration     `yaml:"every" default:"1ms" min:"0s" max:"1h"`
	Wait           bool              `yaml:"wait" default:"true"` // until all of them have ended
	Key            string            `yaml:"key"`                 // affinity key; {i} is the number of the request, from 0
	Method         string            `yaml:"method" default:"GET" oneof:"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH"`
	Path           string            `yaml:"path" default:"/"`
	Host           string            `yaml:"host" default:"example.com"`
	Headers        map[string]string `yaml:"headers"`
	Cookies        map[string]string `yaml:"cookies"`
	ClientIP       string            `yaml:"client_ip" as:"address" default:"192.0.2.1"`
	SNI            string            `yaml:"sni"`
	ClientIdentity string            `yaml:"client_identity"`
	Session        string            `yaml:"session"` // the affinity cookie of that name is kept, and sent; {i} as above
	Attempts       int               `yaml:"attempts" default:"3" min:"1" max:"8"`
	Deadline       time.Duration     `yaml:"deadline" default:"30s" min:"1ms" max:"1h"`
}

// Expect says what is to become of the requests of its step.
type Expect struct {
	Pick     string            `yaml:"pick" as:"name"`  // where the first attempt of each goes
	Picks    []string          `yaml:"picks"`           // where the first attempts go, in turn
	Share    map[string]string `yaml:"share"`           // of the first attempts: "50%" or "50% ± 2"
	Never    []string          `yaml:"never" as:"name"` // no attempt goes there
	Retries  []string          `yaml:"retries" as:"name"`
	Attempts int               `yaml:"attempts" default:"0" min:"1" max:"8" zero:"any number"`
	Reject   int               `yaml:"reject" default:"0" min:"400" max:"599" zero:"none is asked for"`
	Ends     string            `yaml:"ends" as:"outcome"` // the last attempt of each
	Same     bool              `yaml:"same"`              // the first attempts of all go to the same endpoint
	Sticky   string            `yaml:"sticky" oneof:"yes no"`
	Reason   int               `yaml:"reason" default:"0" min:"1" max:"4294967295" zero:"any"`
}

// LoadCases reads a file of cases. Mistakes are told all at once: the error is of type form.Errors.
func LoadCases(path string) (*Cases, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		if p, ok := errors.AsType[*fs.PathError](err); ok {
			err = p.Err
		}
		return nil, form.Errors{{File: path, Got: err.Error(), Want: "a readable file"}}
	}
	return ParseCases(path, data)
}

// FindCases returns the file of cases that lies beside a module, or "".
func FindCases(module string) string {
	for _, name := range []string{"cases.yaml", "CASES.yaml"} {
		if path := filepath.Join(filepath.Dir(module), name); isFile(path) {
			return path
		}
	}
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// ParseCases is LoadCases of data.
func ParseCases(path string, data []byte) (*Cases, error) {
	c := new(Cases)
	doc := form.Read(path, data, c, form.Options{Texts: texts, Want: "a mapping with cases"})
	c.places = doc.Places
	if doc.Whole {
		check := caseChecker{Cases: c, errs: doc.Errs}
		check.all()
		doc.Errs = check.errs
	}
	if len(doc.Errs) > 0 {
		doc.Errs.Sort()
		return nil, doc.Errs
	}
	return c, nil
}

// Load adds to o how the file wants the module to be loaded.
func (c *Cases) Load(o wasmhost.Options) wasmhost.Options {
	o.Large = o.Large || c.Large
	if c.Profile == "gc" {
		o.Fuel = wasmhost.ProfileGC()
	}
	return o
}

// at returns file:line of path.
func (c *Cases) at(path string) string {
	p := c.places.Of(path)
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// set reports whether the file has something at path.
func (c *Cases) set(path string) bool {
	_, ok := c.places[path]
	return ok
}
