package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-lb/weir/internal/form"
)

// checker holds the rules that more than one value takes part in, and fills in what follows from other values.
type checker struct {
	*Config
	builtIns []string
	errs     Errors
	paths    map[string]bool // of errs
}

func newChecker(c *Config, builtIns []string, errs Errors) *checker {
	paths := make(map[string]bool, len(errs))
	for _, e := range errs {
		paths[e.Path] = true
	}
	return &checker{Config: c, builtIns: builtIns, errs: errs, paths: paths}
}

func (c *checker) all() {
	c.admin()
	c.listeners()
	if c.Consul.Token != "" && c.Consul.TokenFile != "" {
		c.fail("consul.token_file", "token and token_file", "one of them")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Policies)) {
		c.policy(c.Policies[name], Child("policies", name))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Clusters)) {
		c.cluster(c.Clusters[name], Child("clusters", name))
	}
	c.routes()
	c.log()
}

// log wants a place for the file of the access log, which need not be there yet.
func (c *checker) log() {
	if c.Log.Access == "off" || c.Log.AccessFile == "" {
		return
	}
	const want = "a file, in a folder that is there"
	if info, err := os.Stat(c.Log.AccessFile); err == nil && info.IsDir() {
		c.fail("log.access_file", "a folder", want)
	} else if info, err := os.Stat(filepath.Dir(c.Log.AccessFile)); err != nil || !info.IsDir() {
		c.fail("log.access_file", fmt.Sprintf("%q", c.Log.AccessFile), want)
	}
}

// fail notes a mistake at path, unless something is known to be wrong there already.
func (c *checker) fail(path, got, want string) {
	if !c.paths[path] {
		c.paths[path] = true
		c.errs = append(c.errs, c.Error(path, got, want))
	}
}

// require notes that the text at path is missing.
func (c *checker) require(text, path, want string) bool {
	if text == "" {
		c.fail(path, "nothing", want)
	}
	return text != ""
}

// one demands that exactly one of the keys below path is set.
func (c *checker) one(path string, keys string, set ...bool) {
	n := 0
	for _, s := range set {
		if s {
			n++
		}
	}
	if n == 1 {
		return
	}
	got := "none of them"
	if n > 1 {
		got = fmt.Sprintf("%d of them", n)
	}
	for key := range strings.SplitSeq(keys, ", ") {
		if c.paths[Child(path, key)] {
			return
		}
	}
	c.fail(path, got, "exactly one of "+keys)
}

func (c *checker) admin() {
	if _, err := c.Admin.Token(); err != nil {
		c.fail("admin.token_file", err.Error(), "a file with a token")
	}
	if _, err := c.Admin.ExplainToken(); err != nil {
		c.fail("admin.explain_token_file", err.Error(), "a file with a token")
	}
	host, _, _ := net.SplitHostPort(c.Admin.Address)
	if ip, err := netip.ParseAddr(host); host == "localhost" || err == nil && ip.IsLoopback() {
		return
	}
	if c.Admin.TokenFile == "" {
		c.fail("admin.token_file", "nothing", fmt.Sprintf("a file with a token, since %s is not a loopback address", c.Admin.Address))
	}
}

func (c *checker) listeners() {
	if len(c.Listeners) == 0 {
		c.fail("listeners", "none", "at least one")
	}
	names := map[string]string{}
	for i := range c.Listeners {
		l, path := &c.Listeners[i], form.Item("listeners", i)
		if c.paths[path] || !c.require(l.Address, path+".address", texts["listen"].Want) {
			continue
		}
		if l.Name == "" {
			l.Name = l.Address
		}
		c.unique(names, l.Name, path, ".name")
		c.listenerTLS(l.TLS, path+".tls")
		if l.ProxyProtocol != nil && len(l.ProxyProtocol.Trusted) == 0 {
			c.fail(path+".proxy_protocol.trusted", "nothing", "the networks whose PROXY headers are believed")
		}
		if sameSocket(l.Address, c.Admin.Address) {
			c.fail(path+".address", form.Quote(l.Address), "another one than admin.address has")
		}
		for k := range i {
			if sameSocket(l.Address, c.Listeners[k].Address) {
				c.fail(path+".address", form.Quote(l.Address), fmt.Sprintf("another one than listeners[%d] has", k))
			}
		}
	}
}

// unique demands that no earlier element has the same key.
func (c *checker) unique(seen map[string]string, key, path, suffix string) {
	if first, ok := seen[key]; ok {
		c.fail(path+suffix, form.Quote(key), "another one than "+first+" has")
		return
	}
	seen[key] = path
}

// sameSocket reports whether two addresses cannot be listened on at the same time.
func sameSocket(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	every := func(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }
	return hostA == hostB || every(hostA) || every(hostB)
}

func (c *checker) policy(p *Policy, path string) {
	if c.paths[path] {
		return
	}
	if slices.Contains(c.builtIns, p.Name) {
		c.fail(path, "the name of a built-in policy", "a name of its own")
	}
	c.require(p.Wasm, path+".wasm", texts["file"].Want)
	if p.Memory%(64<<10) != 0 {
		c.fail(path+".memory", fmt.Sprintf("%d bytes", p.Memory), "whole pages of 64KiB")
	}
	if p.Shadow != "" {
		c.shadow(p, path+".shadow")
	}
}

// shadow demands that the policy beside p is another Wasm policy, and that no policy is, over others, its own shadow.
func (c *checker) shadow(p *Policy, path string) {
	switch known := slices.Sorted(maps.Keys(c.Policies)); {
	case slices.Contains(c.builtIns, p.Shadow):
		c.fail(path, form.Quote(p.Shadow)+", a built-in policy", "a name under policies, since only modules can be compared")
		return
	case c.Policies[p.Shadow] == nil:
		c.fail(path, form.Quote(p.Shadow), "a name under policies"+form.Nearest(p.Shadow, known))
		return
	case p.Shadow == p.Name:
		c.fail(path, "the policy itself", "another one")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(c.Clusters)) {
		if c.Clusters[name].Policy == p.Shadow {
			// Its counters and its store would be those that the cluster's traffic rests on.
			c.fail(path, form.Quote(p.Shadow)+", which serves cluster "+form.Quote(name), "a policy that serves none")
		}
	}
	chain := []string{p.Name}
	for next := p; next != nil && next.Shadow != ""; next = c.Policies[next.Shadow] {
		if chain = append(chain, next.Shadow); next.Shadow == p.Name {
			c.fail(path, "shadows that go in a circle ("+strings.Join(chain, ", ")+")", "an end")
			return
		}
		if len(chain) > len(c.Policies)+1 {
			return // the circle is further on, and told there
		}
	}
}

func (c *checker) cluster(k *Cluster, path string) {
	if c.paths[path] {
		return
	}
	c.one(path, "consul, endpoints", k.Consul != nil, len(k.Endpoints) > 0)
	if k.Consul != nil {
		c.service(k.Consul, path+".consul")
	}
	names := map[string]string{}
	for i := range k.Endpoints {
		e, at := &k.Endpoints[i], form.Item(path+".endpoints", i)
		if c.paths[at] || !c.require(e.Address, at+".address", texts["address"].Want) {
			continue
		}
		from := ".name"
		if e.Name == "" {
			e.Name, from = e.Address, ".address"
		}
		c.unique(names, e.Name, at, from)
	}
	if c.Policies[k.Policy] == nil && !slices.Contains(c.builtIns, k.Policy) {
		known := slices.Concat(slices.Sorted(maps.Keys(c.Policies)), c.builtIns)
		c.fail(path+".policy", form.Quote(k.Policy), "a name under policies, or a built-in: "+strings.Join(c.builtIns, ", ")+form.Nearest(k.Policy, known))
	}
	if a := k.Affinity; a != nil {
		c.one(path+".affinity", "header, cookie, client_ip, client_identity, path, query", a.Header != "", a.Cookie != "", a.ClientIP, a.ClientIdentity, a.Path, a.Query != "")
		if a.ClientIdentity && !slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.TLS != nil && l.TLS.ClientCA != "" }) {
			c.fail(path+".affinity.client_identity", "true, and no listener that asks for certificates", "a listener with tls.client_ca")
		}
		if a.SecretFile != "" && a.Cookie == "" {
			c.fail(path+".affinity.secret_file", "a secret without affinity.cookie", "both or neither: only cookies are authenticated")
		}
		if _, err := a.Secret(); err != nil {
			c.fail(path+".affinity.secret_file", err.Error(), fmt.Sprintf("%d..%d bytes", minSecret, maxToken))
		}
	}
	if p := k.Probe; p != nil {
		c.one(path+".probe", "http, grpc, tcp, tls", p.HTTP != nil, p.GRPC != nil, p.TCP, p.TLS)
		if p.TLS && k.TLS == nil {
			c.fail(path+".probe.tls", "true in a cluster without tls", "both or neither")
		}
		if p.GRPC != nil && !k.HTTP2 {
			c.fail(path+".probe.grpc", "gRPC in a cluster without http2", "http2: true beside it: gRPC needs it")
		}
	}
	if k.Agent != nil && k.Agent.Port == 0 {
		c.fail(path+".agent.port", "nothing", "the port of the agents, 1..65535")
	}
	c.clusterTLS(k, path+".tls")
	if k.ProxyProtocol != "" && k.HTTP2 {
		c.fail(path+".proxy_protocol", k.ProxyProtocol+" and http2", "one of them: connections of HTTP/2 are shared by clients")
	}
	c.redundancy(k, path)
	if h := k.Heartbeat; h != nil && h.Poll != nil && h.Poll.Interval > h.TTL {
		c.fail(path+".heartbeat.poll.interval", h.Poll.Interval.String(), "at most heartbeat.ttl, "+h.TTL.String())
	}
	if k.ZoneAware.Enabled && c.Zone == "" {
		c.fail(path+".zone_aware.enabled", "true without zone", "the gateway's own zone under the key zone")
	}
	if k.Hedge != nil && k.Retry.Attempts < 2 {
		c.fail(path+".hedge", fmt.Sprintf("hedging with retry.attempts %d", k.Retry.Attempts), "at least 2: a hedge is an attempt")
	}
	if k.Timeout > 0 && k.Retry.PerTryTimeout > k.Timeout {
		c.fail(path+".retry.per_try_timeout", k.Retry.PerTryTimeout.String(), "at most the timeout of the cluster, "+k.Timeout.String())
	}
}

func (c *checker) routes() {
	if len(c.Routes) == 0 {
		c.fail("routes", "none", "at least one")
	}
	names, seen := map[string]string{}, map[string]string{}
	for i := range c.Routes {
		r, path := &c.Routes[i], form.Item("routes", i)
		if c.paths[path] {
			continue
		}
		c.route(r, path)
		if c.paths[path+".host"] || c.paths[path+".path"] {
			continue
		}
		key := r.matches()
		if first, ok := seen[key]; ok {
			c.fail(path, "the same host, path and headers as "+first, "each combination once")
			continue
		}
		seen[key] = path
		if r.Name != "" {
			c.unique(names, r.Name, path, ".name")
		}
	}
	for i := range c.Routes {
		if r := &c.Routes[i]; r.Name == "" {
			r.Name = r.Host + r.Path
			for n := 2; names[r.Name] != ""; n++ {
				r.Name = fmt.Sprintf("%s%s#%d", r.Host, r.Path, n)
			}
			names[r.Name] = form.Item("routes", i)
		}
	}
}

func (c *checker) route(r *Route, path string) {
	if c.require(r.Cluster, path+".cluster", "the name of a cluster") {
		if k := c.Clusters[r.Cluster]; k == nil {
			c.fail(path+".cluster", form.Quote(r.Cluster), "the name of a cluster"+form.Nearest(r.Cluster, slices.Sorted(maps.Keys(c.Clusters))))
		} else if _, own := c.places[path+".timeout"]; !own {
			r.Timeout = k.Timeout
		}
	}
	if rest, ok := strings.CutPrefix(r.Path, r.StripPrefix); !ok || !endsSegment(r.StripPrefix, rest) {
		c.fail(path+".strip_prefix", form.Quote(r.StripPrefix), fmt.Sprintf("whole segments that the path %q begins with", r.Path))
	}
	lower := map[string]string{}
	for _, h := range slices.Sorted(maps.Keys(r.Headers)) {
		at := Child(path+".headers", h)
		if first, ok := lower[strings.ToLower(h)]; ok {
			c.fail(at, form.Quote(h), "each field once, in whatever case: it is "+form.Quote(first)+" too")
		}
		lower[strings.ToLower(h)] = h
	}
}

// matches returns what r matches, equal for routes that match the same.
func (r *Route) matches() string {
	parts := []string{strconv.Quote(r.Host), strconv.Quote(r.Path)}
	for _, h := range slices.Sorted(maps.Keys(r.Headers)) {
		parts = append(parts, strings.ToLower(h)+"="+strconv.Quote(r.Headers[h]))
	}
	slices.Sort(parts[2:])
	return strings.Join(parts, " ")
}

// endsSegment reports whether prefix ends where a segment of prefix+rest does.
func endsSegment(prefix, rest string) bool {
	return prefix == "" || rest == "" || rest[0] == '/' || strings.HasSuffix(prefix, "/")
}
