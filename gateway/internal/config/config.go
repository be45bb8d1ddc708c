// Package config reads the configuration: one tree, defaulted in one function, validated whole. Every mistake is
// reported at once, each with its file, line, column and path, what was got and what was wanted. The meaning of every
// key is in docs/CONFIG.md, which a test compares with the tags here. It is the only home of the YAML parser.
//
// Tags say what a key accepts: yaml its name; default what holds without it; min and max its range; zero what 0 means
// where that lies outside of the range; oneof the words allowed; as the form of a text or the unit of a number; key the
// form of the keys of a mapping; later (on a blank field) the keys that are known but not yet served.
package config

import (
	"encoding/json"
	"log/slog"
	"net/netip"
	"time"

	"github.com/weir-lb/weir/internal/form"
)

// Config is the whole of a configuration. It is not to be written after [Load].
type Config struct {
	Admin     Admin               `yaml:"admin"`
	Listeners []Listener          `yaml:"listeners"`
	HTTP      HTTP                `yaml:"http"`
	Consul    Consul              `yaml:"consul"`
	Wasm      Wasm                `yaml:"wasm"`
	Policies  map[string]*Policy  `yaml:"policies"`
	Clusters  map[string]*Cluster `yaml:"clusters"`
	Routes    []Route             `yaml:"routes"`
	Log       Log                 `yaml:"log"`
	Zone      string              `yaml:"zone"` // the gateway's own; "" if it has none

	places form.Places
}

// Admin is where health, metrics and the API are served.
type Admin struct {
	Address   string `yaml:"address" default:"127.0.0.1:9180" as:"listen"`
	TokenFile string `yaml:"token_file" as:"file"` // absolute; "" if there is no token
	// ExplainTokenFile holds what a request must say in Weir-Explain to be explained; absolute, "" if none may.
	ExplainTokenFile string `yaml:"explain_token_file" as:"file"`
}

// Listener accepts traffic.
type Listener struct {
	Name    string         `yaml:"name" as:"name"` // the address if the file names none
	Address string         `yaml:"address" as:"listen"`
	Trusted []netip.Prefix `yaml:"trusted"` // peers whose Forwarded and X-Forwarded-* fields are believed
	TLS     *ListenerTLS   `yaml:"tls"`     // nil: none

	ProxyProtocol *ProxyProtocol `yaml:"proxy_protocol"` // nil: no PROXY header is read from anybody
}

// ProxyProtocol says from whom a listener reads PROXY headers.
type ProxyProtocol struct {
	Trusted  []netip.Prefix `yaml:"trusted"` // peers that are asked for one, by the address of their connection; never empty
	Required bool           `yaml:"required" default:"true"`
	Timeout  time.Duration  `yaml:"timeout" default:"2s" min:"100ms" max:"1m"`
}

// HTTP is what clients may do, and how long.
type HTTP struct {
	HeaderTimeout time.Duration `yaml:"header_timeout" default:"10s" min:"100ms" max:"1h"`
	BodyTimeout   time.Duration `yaml:"body_timeout" default:"60s" min:"100ms" max:"24h"` // without progress
	IdleTimeout   time.Duration `yaml:"idle_timeout" default:"60s" min:"100ms" max:"24h"`
	TunnelTimeout time.Duration `yaml:"tunnel_timeout" default:"1h" min:"100ms" max:"24h"` // without a byte either way
	HalfClose     bool          `yaml:"half_close"`
	H2C           bool          `yaml:"h2c"`
	MaxBody       int64         `yaml:"max_body" as:"size" default:"0B" min:"1B" max:"1048576GiB" zero:"no limit"` // bytes
	MaxRequests   int           `yaml:"max_requests" default:"0" min:"1" max:"1000000000" zero:"no limit"`         // of a connection
	MaxClient     int           `yaml:"max_client_connections" default:"0" min:"1" max:"1000000" zero:"no limit"`  // of one client
}

// Consul says how to reach the agent. What is "" here comes from the CONSUL_* environment.
type Consul struct {
	Address    string        `yaml:"address" as:"consul"`
	Token      string        `yaml:"token"`
	TokenFile  string        `yaml:"token_file" as:"file"` // absolute
	Datacenter string        `yaml:"datacenter"`
	Snapshot   string        `yaml:"snapshot" as:"path"` // absolute; "" keeps none
	Wait       time.Duration `yaml:"wait" default:"55s" min:"1s" max:"10m"`
	Hold       time.Duration `yaml:"hold" default:"5s" min:"0s" max:"1h"`

	_ struct{} `later:"fabio_tags"`
}

// Wasm is what all modules have in common.
type Wasm struct {
	CacheDir string `yaml:"cache_dir" as:"folder"` // of native code; absolute, "" keeps none
}

// Policy is a Wasm module and its bounds.
type Policy struct {
	Name     string          `yaml:"-"`
	Wasm     string          `yaml:"wasm" as:"file"`     // absolute
	SHA256   string          `yaml:"sha256" as:"sha256"` // 64 lower-case digits, or "" if it is not pinned
	Config   json.RawMessage `yaml:"config"`             // JSON; empty if there is none
	Fallback string          `yaml:"fallback" default:"p2c" as:"built-in"`
	OnError  string          `yaml:"on_error" default:"fallback" oneof:"fallback reject"`
	Fuel     Fuel            `yaml:"fuel"`
	Memory   int64           `yaml:"memory" as:"size" default:"4MiB" min:"64KiB" max:"1GiB"` // bytes
	Large    bool            `yaml:"large" default:"false"`
	Watch    bool            `yaml:"watch" default:"true"`
	Shadow   string          `yaml:"shadow" as:"name"` // a key of Config.Policies; "" if there is none
}

// Fuel bounds what one call of a guest may cost. 0 stands for the formula of docs/ABI.md, which grows with the size of
// what the call is about, or for the figure of the profile.
type Fuel struct {
	Profile   string `yaml:"profile" default:"default" oneof:"default gc"`
	Init      int64  `yaml:"init" default:"50000000" min:"1000" max:"10000000000"`
	Endpoints int64  `yaml:"endpoints" default:"0" min:"1000" max:"10000000000" zero:"by size"`
	Pick      int64  `yaml:"pick" default:"0" min:"1000" max:"100000000" zero:"by profile"`
	Feedback  int64  `yaml:"feedback" default:"0" min:"1000" max:"1000000000" zero:"by profile"`
	Tick      int64  `yaml:"tick" default:"0" min:"1000" max:"1000000000" zero:"by profile"`
}

// Cluster is a named set of endpoints and how they are used. Exactly one of Consul and Endpoints is set.
type Cluster struct {
	Name           string        `yaml:"-"`
	Consul         *Service      `yaml:"consul"`
	Endpoints      []Endpoint    `yaml:"endpoints"`
	Policy         string        `yaml:"policy" default:"p2c"` // a key of Config.Policies, or a built-in
	Affinity       *Affinity     `yaml:"affinity"`
	Probe          *Probe        `yaml:"probe"` // nil: no active probes
	Outlier        Outlier       `yaml:"outlier"`
	Heartbeat      *Heartbeat    `yaml:"heartbeat"` // nil: no leases
	Retry          Retry         `yaml:"retry"`
	Hedge          *Hedge        `yaml:"hedge"` // nil: only as policies ask for it
	Timeout        time.Duration `yaml:"timeout" default:"30s" min:"1ms" max:"24h" zero:"none"`
	HTTP2          bool          `yaml:"http2"` // to its endpoints
	ConnectTimeout time.Duration `yaml:"connect_timeout" default:"1s" min:"1ms" max:"1m"`
	Limits         Limits        `yaml:"limits"`
	Drain          Drain         `yaml:"drain"`
	Spill          float64       `yaml:"spill" as:"percent" default:"0%" min:"100%" max:"1000%" zero:"off"` // 1.4: tiers share by degrees
	Panic          float64       `yaml:"panic" as:"percent" default:"0%" min:"1%" max:"100%" zero:"off"`    // 0..1, of the weight
	ZoneAware      ZoneAware     `yaml:"zone_aware"`
	SlowStart      *SlowStart    `yaml:"slow_start"` // nil: none
	Subset         *Subset       `yaml:"subset"`     // nil: all instances
	Weights        Weights       `yaml:"weights"`
	Agent          *Agent        `yaml:"agent"`                        // nil: none
	TLS            *ClusterTLS   `yaml:"tls"`                          // nil: endpoints are spoken to in the clear
	ProxyProtocol  string        `yaml:"proxy_protocol" oneof:"v1 v2"` // of the PROXY headers that endpoints get; "": none
	Redundancy     *Redundancy   `yaml:"redundancy"`                   // nil: none, but what failover asks for
}

// Redundancy says which endpoints stand by, and when traffic goes back.
type Redundancy struct {
	Mode     string        `yaml:"mode" default:"tiers" oneof:"tiers 1+1 n+1"`
	Need     int           `yaml:"need" default:"0" min:"1" max:"100000000" zero:"the weight of all that are no spares"`
	Spares   int           `yaml:"spares" default:"0" min:"1" max:"1000" zero:"those that are marked"`
	Hold     time.Duration `yaml:"hold" default:"10s" min:"1s" max:"1h"`
	FailBack string        `yaml:"fail_back" default:"automatic" oneof:"automatic manual"`
}

// ZoneAware keeps requests in the gateway's zone as far as that can bear them.
type ZoneAware struct {
	Enabled bool `yaml:"enabled" default:"false"`
	Minimum int  `yaml:"minimum" default:"6" min:"1" max:"100000"` // endpoints
}

// SlowStart ramps the weight of endpoints that come or come back.
type SlowStart struct {
	Window     time.Duration `yaml:"window" default:"30s" min:"1s" max:"1h"`
	Aggression float64       `yaml:"aggression" default:"1.0" min:"0.1" max:"10"`
	Minimum    float64       `yaml:"minimum" as:"percent" default:"10%" min:"1%" max:"100%"` // 0..1
}

// Subset limits the gateway to some of the instances.
type Subset struct {
	Size int    `yaml:"size" default:"20" min:"1" max:"100000"` // of each tier
	ID   string `yaml:"id" as:"name"`                           // "" is the name of the host
}

// Weights says where the weights of endpoints come from.
type Weights struct {
	From         string        `yaml:"from" default:"discovery" oneof:"discovery load"`
	Blackout     time.Duration `yaml:"blackout" default:"2s" min:"0s" max:"1h"`
	Expiration   time.Duration `yaml:"expiration" default:"3m" min:"1s" max:"24h"`
	ErrorPenalty float64       `yaml:"error_penalty" default:"1.0" min:"0" max:"1000"`
	PassHeader   bool          `yaml:"pass_header" default:"false"`
}

// Agent asks a service beside each endpoint, in HAProxy's agent-check protocol.
type Agent struct {
	Port     int           `yaml:"port" min:"1" max:"65535"`
	Interval time.Duration `yaml:"interval" default:"2s" min:"100ms" max:"1h"`
}

// Service names what Consul is asked for.
type Service struct {
	Service    string `yaml:"service"`
	Query      string `yaml:"query"`      // a prepared query that says all of what follows, instead of Service
	Filter     string `yaml:"filter"`     // evaluated by the agent
	Datacenter string `yaml:"datacenter"` // "" is that of Config.Consul
	// RequireCheck takes instances without a check of their own for critical.
	RequireCheck bool `yaml:"require_check" default:"false"`
	// Failover is where instances come from that stand by for those above, preferred ones first.
	Failover []Failover `yaml:"failover"`
}

// Failover is a further place of instances.
type Failover struct {
	Datacenter string `yaml:"datacenter"` // "" is where Service looks
	Service    string `yaml:"service"`    // "" is Service's
	Filter     string `yaml:"filter"`     // the Service's if the file names none
}

// MaxFailover is how many places may stand by: each has a tier, and there are four.
const MaxFailover = 3

// Endpoint is one static endpoint.
type Endpoint struct {
	Name    string            `yaml:"name" as:"name"` // its identity across reloads; the address if the file names none
	Address string            `yaml:"address" as:"address"`
	Weight  int               `yaml:"weight" default:"1" min:"0" max:"65535"`
	Zone    string            `yaml:"zone"`
	Tier    int               `yaml:"tier" default:"0" min:"0" max:"3"`
	Spare   bool              `yaml:"spare" default:"false"`
	Meta    map[string]string `yaml:"meta"`
}

// Affinity says what the key hash of a request is made of. Exactly one field but SecretFile is set.
type Affinity struct {
	Header   string `yaml:"header" as:"token"`
	Cookie   string `yaml:"cookie" as:"token"`
	ClientIP bool   `yaml:"client_ip"`
	// ClientIdentity takes whom the client's certificate is for.
	ClientIdentity bool   `yaml:"client_identity"`
	Path           bool   `yaml:"path"`
	Query          string `yaml:"query"` // the name of a parameter

	SecretFile string `yaml:"secret_file" as:"file"` // absolute; what Cookie's tokens are authenticated with
}

// Probe sets active checks. Exactly one of HTTP, GRPC, TCP and TLS is set.
type Probe struct {
	HTTP     *HTTPProbe    `yaml:"http"`
	GRPC     *GRPCProbe    `yaml:"grpc"`
	TCP      bool          `yaml:"tcp"`
	TLS      bool          `yaml:"tls"` // by a handshake alone
	Interval time.Duration `yaml:"interval" default:"1s" min:"50ms" max:"1h"`
	Timeout  time.Duration `yaml:"timeout" default:"500ms" min:"1ms" max:"1m"`
	Fall     int           `yaml:"fall" default:"3" min:"1" max:"100"`
	Rise     int           `yaml:"rise" default:"2" min:"1" max:"100"`
	Adaptive bool          `yaml:"adaptive" default:"false"`
}

// HTTPProbe is one GET.
type HTTPProbe struct {
	Path   string `yaml:"path" default:"/" as:"target"`
	Host   string `yaml:"host" as:"authority"`        // "" is the endpoint's address
	Status []int  `yaml:"status" min:"100" max:"599"` // accepted; empty is 200..399
}

// GRPCProbe is one call of grpc.health.v1.Health/Check.
type GRPCProbe struct {
	Service string `yaml:"service"`             // "" is the endpoint as a whole
	Host    string `yaml:"host" as:"authority"` // "" is the endpoint's address
}

// Outlier sets passive ejection.
type Outlier struct {
	Consecutive  int           `yaml:"consecutive" default:"5" min:"1" max:"1000" zero:"never"`
	BaseEjection time.Duration `yaml:"base_ejection" default:"30s" min:"100ms" max:"5m"`
	MaxEjected   float64       `yaml:"max_ejected" as:"percent" default:"50%" min:"0%" max:"100%"` // 0..1
	Interval     time.Duration `yaml:"interval" default:"10s" min:"1s" max:"1h"`                   // of the rates
	SuccessRate  SuccessRate   `yaml:"success_rate"`
	FailureShare FailureShare  `yaml:"failure_percentage"`
}

// SuccessRate ejects endpoints whose rate is Factor deviations below the mean.
type SuccessRate struct {
	Factor    float64 `yaml:"factor" default:"1.9" min:"0.1" max:"10" zero:"never"`
	Endpoints int     `yaml:"endpoints" default:"5" min:"5" max:"100000"`
	Requests  int     `yaml:"requests" default:"100" min:"1" max:"100000000"`
}

// FailureShare ejects endpoints of which at least Threshold fails.
type FailureShare struct {
	Threshold float64 `yaml:"threshold" as:"percent" default:"0%" min:"1%" max:"100%" zero:"never"` // 0..1
	Endpoints int     `yaml:"endpoints" default:"5" min:"1" max:"100000"`
	Requests  int     `yaml:"requests" default:"50" min:"1" max:"100000000"`
}

// Heartbeat sets leases: an endpoint that has sent beats and stops is suspect after TTL, down after twice that, or as soon
// as its silence is as unlikely as 10^-Phi.
type Heartbeat struct {
	TTL      time.Duration `yaml:"ttl" default:"3s" min:"100ms" max:"1h"`
	Phi      float64       `yaml:"phi" default:"0" min:"1" max:"16" zero:"never"`
	MinSigma time.Duration `yaml:"min_sigma" default:"100ms" min:"1ms" max:"1m"`
	Pause    time.Duration `yaml:"pause" default:"500ms" min:"0s" max:"1h"` // 0 is none
	Poll     *Poll         `yaml:"poll"`                                    // nil: endpoints send beats
}

// Poll asks endpoints for beats: an answer to GET is one.
type Poll struct {
	Path     string        `yaml:"path" default:"/" as:"target"`
	Host     string        `yaml:"host" as:"authority"` // "" is the endpoint's address
	Interval time.Duration `yaml:"interval" default:"1s" min:"100ms" max:"5s"`
	Timeout  time.Duration `yaml:"timeout" default:"500ms" min:"10ms" max:"5s"`
}

// Retry bounds further attempts.
type Retry struct {
	Attempts      int           `yaml:"attempts" default:"3" min:"1" max:"8"`                  // the first counts as one
	Budget        float64       `yaml:"budget" as:"percent" default:"20%" min:"1%" max:"100%"` // 0..1, of the requests in flight
	PerTryTimeout time.Duration `yaml:"per_try_timeout" default:"0s" min:"1ms" max:"24h" zero:"shared out"`
	Conditions    []string      `yaml:"conditions" as:"condition" default:"connect reset timeout 502 503 504"`
}

// Hedge gives slow attempts company.
type Hedge struct {
	After  time.Duration `yaml:"after" default:"0s" min:"1ms" max:"1m" zero:"slower than 95 % of those before"`
	Budget float64       `yaml:"budget" as:"percent" default:"5%" min:"1%" max:"100%"` // 0..1, of the requests
}

// Limits bound what a cluster may hold at a time.
type Limits struct {
	Connections  int           `yaml:"connections" default:"1024" min:"1" max:"65535"`             // an endpoint
	Requests     int           `yaml:"requests" default:"0" min:"1" max:"1000000" zero:"no limit"` // a cluster
	Queue        int           `yaml:"queue" default:"128" min:"0" max:"65535"`                    // waiting for a connection of one endpoint
	QueueTimeout time.Duration `yaml:"queue_timeout" default:"100ms" min:"1ms" max:"1m"`
}

// Drain bounds how long what is under way at an endpoint may go on when that gets no new requests.
type Drain struct {
	Requests time.Duration `yaml:"requests" default:"5m" min:"100ms" max:"24h" zero:"as long as they like"`
	Tunnels  time.Duration `yaml:"tunnels" default:"5m" min:"100ms" max:"24h" zero:"as long as they like"`
}

// Route sends requests to a cluster. Of those that match, the most specific host wins, then the longest path.
type Route struct {
	Name        string            `yaml:"name" as:"name"`               // host and path if the file names none
	Host        string            `yaml:"host" as:"host"`               // lower case, without port; "*.x" is any below x; "" is any
	Path        string            `yaml:"path" default:"/" as:"prefix"` // matched at segment bounds
	Headers     map[string]string `yaml:"headers" key:"token"`          // all must match, exactly
	Cluster     string            `yaml:"cluster"`
	StripPrefix string            `yaml:"strip_prefix" as:"prefix"`                // begins Path
	Timeout     time.Duration     `yaml:"timeout" min:"1ms" max:"24h" zero:"none"` // the cluster's if the file names none; 0 is none
}

// Log says what is logged.
type Log struct {
	Level slog.Level `yaml:"level" default:"info" oneof:"debug info warn error"`

	Access      string `yaml:"access" default:"off" oneof:"off json"`
	AccessFile  string `yaml:"access_file" as:"path"` // absolute; "" is standard output
	AccessQuery bool   `yaml:"access_query" default:"false"`
}
