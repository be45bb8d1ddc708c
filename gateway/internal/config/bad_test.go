package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBadInput holds every kind of mistake to its message: the whole of it, and nothing beside it. "$DIR/" in a message
// stands for the folder of the file.
func TestBadInput(t *testing.T) {
	const (
		listeners = "listeners: [{address: ':8080'}]\n"
		clusters  = "clusters: {web: {endpoints: [{address: '127.0.0.1:9001'}]}}\n"
		routes    = "routes: [{cluster: web}]\n"
	)
	of := func(body string) string {
		return listeners + routes + "clusters:\n  web:\n    endpoints: [{address: '127.0.0.1:9001'}]\n" + body
	}
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"nothing":           {"# only a comment\n", []string{"1:1: got nothing, want a mapping with listeners, clusters and routes"}},
		"a_list":            {"- a\n", []string{"1:1: got a list, want a mapping with listeners, clusters and routes"}},
		"a_syntax_error":    {least + "log: {level: info\n", []string{"4:6: got invalid YAML: could not find flow mapping end token '}', want valid YAML"}},
		"a_tab":             {least + "log:\n\tlevel: info\n", []string{"5:1: got invalid YAML: found character '\t' that cannot start any token, want valid YAML"}},
		"a_second_document": {least + "---\nlog: {level: info}\n", []string{"4:1: got a second document, want one a file"}},
		"a_tag":             {least + "zone: !!str a\n", []string{"4:7: zone: got a YAML tag, want a value without it"}},
		"an_unknown_anchor": {least + "zone: *a\n", []string{`4:7: zone: got "*a", want the name of an anchor further up`}},
		"a_merged_word":     {least + "log: {<<: a}\n", []string{`4:11: log.<<: got "a", want an alias of a mapping, or a list of them`}},
		"an_empty_value":    {least + "zone:\n", []string{"4:1: zone: got nothing, want text"}},
		"a_key_twice":       {least + "zone: a\nzone: b\n", []string{"5:1: zone: got the key again (first on line 4), want it once"}},
		"an_unknown_key":    {least + "zoen: a\n", []string{`4:1: zoen: got an unknown key, want a known one (did you mean "zone"?)`}},
		"a_far_key":         {least + "log: {colour: red}\n", []string{"4:7: log.colour: got an unknown key, want a known one: access, access_file, access_query, level"}},
		"a_log_of_a_kind":   {least + "log: {access: combined}\n", []string{`4:15: log.access: got "combined", want one of off, json`}},
		"a_log_nowhere":     {least + "log: {access: json, access_file: none/access.log}\n", []string{`4:34: log.access_file: got "$DIR/none/access.log", want a file, in a folder that is there`}},
		"a_log_in_a_folder": {least + "log: {access: json, access_file: .}\n", []string{"4:34: log.access_file: got a folder, want a file, in a folder that is there"}},
		"a_key_of_later":    {least + "consul: {fabio_tags: true}\n", []string{"4:10: consul.fabio_tags: got a key that this version does not support, want it left out"}},
		"a_tier_left_out": {
			listeners + routes + "clusters: {web: {endpoints: [{address: 'a:1'}, {address: 'b:1', tier: 2}]}}\n",
			[]string{"3:71: clusters.web.endpoints[1].tier: got 2, and tier 1 without endpoints, want no tier left out"},
		},
		"a_spare_alone":         {of("    redundancy: {mode: n+1, spares: 1}\n"), []string{"6:37: clusters.web.redundancy.spares: got 1 of 1 endpoints in tier 0, want fewer, so that one at least serves"}},
		"n+1_without_spares":    {of("    redundancy: {mode: n+1}\n"), []string{"6:5: clusters.web.redundancy.spares: got none, and no endpoint that is marked as a spare, want at least one"}},
		"spares_without_n+1":    {of("    redundancy: {spares: 2, need: 3}\n"), []string{"6:26: clusters.web.redundancy.spares: got 2 with mode tiers, want mode n+1", "6:35: clusters.web.redundancy.need: got 3 with mode tiers, want mode n+1"}},
		"1+1_alone":             {of("    redundancy: {mode: 1+1}\n"), []string{"6:24: clusters.web.redundancy.mode: got 1+1 with 1 endpoint, want at least 2"}},
		"1+1_that_spills":       {of("    redundancy: {mode: 1+1}\n    spill: 140%\n"), []string{"6:24: clusters.web.redundancy.mode: got 1+1 and spill, want one of them: one endpoint gets all requests, or tiers share them"}},
		"1+1_that_panics":       {of("    redundancy: {mode: 1+1}\n    panic: 50%\n"), []string{"6:24: clusters.web.redundancy.mode: got 1+1 and panic, want one of them: in a panic all endpoints get requests"}},
		"1+1_of_a_subset":       {of("    redundancy: {mode: 1+1}\n    subset: {}\n"), []string{"6:24: clusters.web.redundancy.mode: got 1+1 and subset, want one of them: gateways with other subsets would have other endpoints stand by"}},
		"a_hold_of_nothing":     {of("    redundancy: {hold: 0s}\n"), []string{`6:24: clusters.web.redundancy.hold: got "0s", want a duration such as 30s or 100ms, 1s..1h`}},
		"a_mode_that_is_none":   {of("    redundancy: {mode: 2n}\n"), []string{`6:24: clusters.web.redundancy.mode: got "2n", want one of tiers, 1+1, n+1`}},
		"a_spare_of_nobody":     {listeners + routes + "clusters: {web: {endpoints: [{address: 'a:1'}, {address: 'b:1', spare: true}]}}\n", []string{"3:72: clusters.web.endpoints[1].spare: got true without redundancy.mode n+1, want both or neither"}},
		"nothing_but_spares":    {listeners + routes + "clusters: {web: {endpoints: [{address: 'a:1', spare: true}], redundancy: {mode: n+1}}}\n", []string{"3:81: clusters.web.redundancy.mode: got n+1 with 1 endpoints in tier 0, all of them spares, want at least one that is none"}},
		"a_need_beyond_all":     {listeners + routes + "clusters: {web: {endpoints: [{address: 'a:1'}, {address: 'b:1'}], redundancy: {mode: n+1, spares: 1, need: 3}}}\n", []string{"3:108: clusters.web.redundancy.need: got 3, want at most the weight of all endpoints, 2"}},
		"failover_to_itself":    {listeners + routes + "consul: {datacenter: dc1}\nclusters: {web: {consul: {service: web, failover: [{datacenter: dc1}]}}}\n", []string{"4:52: clusters.web.consul.failover[0]: got the same datacenter, service and filter as the cluster itself, want another place to fail over to"}},
		"failover_twice":        {listeners + routes + "clusters: {web: {consul: {service: web, failover: [{datacenter: dc2}, {datacenter: dc2, service: web}]}}}\n", []string{"3:71: clusters.web.consul.failover[1]: got the same datacenter, service and filter as clusters.web.consul.failover[0], want each place once"}},
		"failover_to_too_many":  {listeners + routes + "clusters: {web: {consul: {service: web, failover: [{datacenter: a}, {datacenter: b}, {datacenter: c}, {datacenter: d}]}}}\n", []string{"3:41: clusters.web.consul.failover: got 4 places, want at most 3"}},
		"a_query_and_a_service": {listeners + routes + "clusters: {web: {consul: {service: web, query: q}}}\n", []string{`3:48: clusters.web.consul.query: got "q" and other keys, want nothing beside it: the prepared query says it all`}},
		"no_listeners":          {clusters + routes, []string{"1:1: listeners: got none, want at least one"}},
		"no_routes":             {listeners + clusters, []string{"1:1: routes: got none, want at least one"}},
		"a_word_for_a_list":     {clusters + routes + "listeners: a\n", []string{`3:12: listeners: got "a", want a list`}},
		"a_list_for_a_word":     {least + "zone: [a]\n", []string{"4:7: zone: got a list, want text"}},
		"two_equal_names":       {clusters + routes + "listeners: [{name: a, address: ':1'}, {name: a, address: ':2'}]\n", []string{`3:46: listeners[1].name: got "a", want another one than listeners[0] has`}},
		"an_address_twice":      {clusters + routes + "listeners: [{name: a, address: ':1'}, {address: '127.0.0.1:1'}]\n", []string{`3:49: listeners[1].address: got "127.0.0.1:1", want another one than listeners[0] has`}},
		"the_admins_address":    {clusters + routes + "listeners: [{address: ':9180'}]\n", []string{`3:23: listeners[0].address: got ":9180", want another one than admin.address has`}},
		"an_open_admin": {
			least + "admin: {address: ':9180'}\n",
			[]string{"4:1: admin.token_file: got nothing, want a file with a token, since :9180 is not a loopback address"},
		},
		"an_empty_token": {least + "admin: {token_file: empty}\n", []string{"4:21: admin.token_file: got nothing in $DIR/empty, want a file with a token"}},
		"a_token_that_is_not_there": {
			least + "admin: {token_file: x}\n",
			[]string{`4:21: admin.token_file: got "x", want a readable file: $DIR/x: no such file or directory`},
		},
		"a_module_that_is_not_there": {
			least + "policies: {a: {wasm: ./x.wasm}}\n",
			[]string{`4:22: policies.a.wasm: got "./x.wasm", want a readable file: $DIR/x.wasm: no such file or directory`},
		},
		"a_folder_for_a_module":   {least + "policies: {a: {wasm: .}}\n", []string{`4:22: policies.a.wasm: got ".", want a readable file: $DIR is d---------`}},
		"a_policy_without_module": {least + "policies:\n  a: {}\n", []string{"5:3: policies.a.wasm: got nothing, want the name of a readable file"}},
		"a_policy_of_bad_values": {least + "policies: {p2c: {wasm: mine.wasm, sha256: 1f0c, fallback: p3c, on_error: retry, memory: 100KiB, fuel: {pick: 1e9}}}\n", []string{
			"4:12: policies.p2c: got the name of a built-in policy, want a name of its own",
			`4:43: policies.p2c.sha256: got "1f0c", want 64 hexadecimal digits`,
			`4:59: policies.p2c.fallback: got "p3c", want a built-in policy: round_robin, weighted_round_robin, p2c, least_request (did you mean "p2c"?)`,
			`4:74: policies.p2c.on_error: got "retry", want one of fallback, reject`,
			`4:89: policies.p2c.memory: got 102400 bytes, want whole pages of 64KiB`,
			`4:110: policies.p2c.fuel.pick: got "1e9", want a whole number, 1000..100000000 (or 0: by profile)`,
		}},
		"a_shadow_that_is_not_there": {
			least + "policies: {a: {wasm: mine.wasm, shadow: bb}, b: {wasm: mine.wasm}}\n",
			[]string{`4:41: policies.a.shadow: got "bb", want a name under policies (did you mean "b"?)`},
		},
		"a_native_shadow": {
			least + "policies: {a: {wasm: mine.wasm, shadow: p2c}}\n",
			[]string{`4:41: policies.a.shadow: got "p2c", a built-in policy, want a name under policies, since only modules can be compared`},
		},
		"a_shadow_that_serves": {
			listeners + routes + "clusters: {web: {endpoints: [{address: '127.0.0.1:9001'}], policy: b}}\npolicies: {a: {wasm: mine.wasm, shadow: b}, b: {wasm: mine.wasm}}\n",
			[]string{`4:41: policies.a.shadow: got "b", which serves cluster "web", want a policy that serves none`},
		},
		"its_own_shadow": {least + "policies: {a: {wasm: mine.wasm, shadow: a}}\n", []string{"4:41: policies.a.shadow: got the policy itself, want another one"}},
		"shadows_in_a_circle": {
			least + "policies: {a: {wasm: mine.wasm, shadow: b}, b: {wasm: mine.wasm, shadow: c}, c: {wasm: mine.wasm, shadow: b}}\n",
			[]string{
				"4:74: policies.b.shadow: got shadows that go in a circle (b, c, b), want an end",
				"4:107: policies.c.shadow: got shadows that go in a circle (c, b, c), want an end",
			},
		},
		"an_unknown_profile": {least + "policies: {a: {wasm: mine.wasm, fuel: {profile: go}}}\n", []string{`4:49: policies.a.fuel.profile: got "go", want one of default, gc`}},
		"an_empty_explain_token": {
			least + "admin: {explain_token_file: empty}\n",
			[]string{"4:29: admin.explain_token_file: got nothing in $DIR/empty, want a file with a token"},
		},
		"a_secret_without_a_cookie": {
			of("    affinity: {header: a, secret_file: secret}\n"),
			[]string{"6:40: clusters.web.affinity.secret_file: got a secret without affinity.cookie, want both or neither: only cookies are authenticated"},
		},
		"a_short_secret": {
			of("    affinity: {cookie: a, secret_file: token}\n"),
			[]string{"6:40: clusters.web.affinity.secret_file: got 6 bytes in $DIR/token, want 16..4096 bytes"},
		},
		"a_number_that_JSON_has_not":      {least + "policies: {a: {wasm: mine.wasm, config: {x: .inf}}}\n", []string{`4:45: policies.a.config.x: got ".inf", want a number that JSON can hold`}},
		"both_tokens":                     {least + "consul: {token: a, token_file: token}\n", []string{"4:32: consul.token_file: got token and token_file, want one of them"}},
		"a_bare_duration":                 {of("    timeout: 30\n"), []string{`6:14: clusters.web.timeout: got "30", want a duration such as 30s or 100ms, 1ms..24h (or 0s: none)`}},
		"a_bare_zero":                     {of("    timeout: 0\n"), []string{`6:14: clusters.web.timeout: got "0", want a duration such as 30s or 100ms, 1ms..24h (or 0s: none)`}},
		"a_long_duration":                 {of("    connect_timeout: 2h\n"), []string{`6:22: clusters.web.connect_timeout: got "2h", want a duration such as 30s or 100ms, 1ms..1m`}},
		"a_bare_percentage":               {of("    retry: {budget: 20}\n"), []string{`6:21: clusters.web.retry.budget: got "20", want a percentage such as 20%, 1%..100%`}},
		"too_many_attempts":               {of("    retry: {attempts: 9}\n"), []string{`6:23: clusters.web.retry.attempts: got "9", want a whole number, 1..8`}},
		"an_unknown_condition":            {of("    retry: {conditions: [reset, 200]}\n"), []string{`6:33: clusters.web.retry.conditions[1]: got "200", want connect, reset, timeout or a status 400..599`}},
		"a_try_longer_than_all":           {of("    retry: {per_try_timeout: 1m}\n"), []string{"6:30: clusters.web.retry.per_try_timeout: got 1m0s, want at most the timeout of the cluster, 30s"}},
		"a_spill_below_its_share":         {of("    spill: 40%\n"), []string{`6:12: clusters.web.spill: got "40%", want a percentage such as 20%, 100%..1000% (or 0%: off)`}},
		"a_panic_without_percent":         {of("    panic: 0.5\n"), []string{`6:12: clusters.web.panic: got "0.5", want a percentage such as 20%, 1%..100% (or 0%: off)`}},
		"an_aggression_of_nothing":        {of("    slow_start: {aggression: 0}\n"), []string{`6:30: clusters.web.slow_start.aggression: got "0", want a number such as 1.5, 0.1..10`}},
		"zones_without_a_zone":            {of("    zone_aware: {enabled: true}\n"), []string{"6:27: clusters.web.zone_aware.enabled: got true without zone, want the gateway's own zone under the key zone"}},
		"an_agent_without_a_port":         {of("    agent: {interval: 1s}\n"), []string{"6:5: clusters.web.agent.port: got nothing, want the port of the agents, 1..65535"}},
		"weights_from_nowhere":            {of("    weights: {from: loads}\n"), []string{`6:21: clusters.web.weights.from: got "loads", want one of discovery, load`}},
		"a_probe_by_tls_without_it":       {of("    probe: {tls: true}\n"), []string{"6:18: clusters.web.probe.tls: got true in a cluster without tls, want both or neither"}},
		"a_probe_by_grpc_without_http2":   {of("    probe: {grpc: {service: shop}}\n"), []string{"6:13: clusters.web.probe.grpc: got gRPC in a cluster without http2, want http2: true beside it: gRPC needs it"}},
		"hedges_without_a_second_attempt": {of("    hedge: {}\n    retry: {attempts: 1}\n"), []string{"6:5: clusters.web.hedge: got hedging with retry.attempts 1, want at least 2: a hedge is an attempt"}},
		"no_probe":                        {of("    probe: {}\n"), []string{"6:5: clusters.web.probe: got none of them, want exactly one of http, grpc, tcp, tls"}},
		"two_probes":                      {of("    probe: {tcp: true, http: {}}\n"), []string{"6:5: clusters.web.probe: got 2 of them, want exactly one of http, grpc, tcp, tls"}},
		"two_keys":                        {of("    affinity: {header: a, path: true}\n"), []string{"6:5: clusters.web.affinity: got 2 of them, want exactly one of header, cookie, client_ip, client_identity, path, query"}},
		"identities_that_nobody_shows":    {of("    affinity: {client_identity: true}\n"), []string{"6:33: clusters.web.affinity.client_identity: got true, and no listener that asks for certificates, want a listener with tls.client_ca"}},
		"a_header_with_a_space":           {of("    affinity: {header: X User}\n"), []string{`6:24: clusters.web.affinity.header: got "X User", want a name as header fields have it: letters, digits and !#$%&'*+-.^_` + "`|~"}},
		"a_yes":                           {of("    affinity: {path: yes}\n"), []string{`6:22: clusters.web.affinity.path: got "yes", want true or false`}},
		"both_sources":                    {of("    consul: {service: web}\n"), []string{"4:3: clusters.web: got 2 of them, want exactly one of consul, endpoints"}},
		"no_source":                       {listeners + routes + "clusters: {web: {policy: p2c}}\n", []string{"3:12: clusters.web: got none of them, want exactly one of consul, endpoints"}},
		"no_service":                      {listeners + routes + "clusters: {web: {consul: {filter: a}}}\n", []string{"3:18: clusters.web.consul.service: got nothing, want the name of a service"}},
		"an_unknown_policy": {
			of("    policy: p2\n"),
			[]string{`6:13: clusters.web.policy: got "p2", want a name under policies, or a built-in: round_robin, weighted_round_robin, p2c, least_request (did you mean "p2c"?)`},
		},
		"a_name_with_a_space": {
			listeners + "clusters: {'a b': {endpoints: [{address: 'h:1'}]}}\nroutes: [{cluster: 'a b'}]\n",
			[]string{`2:12: clusters["a b"]: got the name "a b", want 1..64 letters, digits, - _ and .`},
		},
		"endpoints_of_bad_values": {listeners + routes + "clusters:\n  web:\n    endpoints:\n      - {address: 'h:1', weight: 65536}\n      - {address: 'h:1', tier: 4}\n      - {address: 'h', name: a}\n      - {zone: a}\n", []string{
			`6:34: clusters.web.endpoints[0].weight: got "65536", want a whole number, 0..65535`,
			`7:19: clusters.web.endpoints[1].address: got "h:1", want another one than clusters.web.endpoints[0] has`,
			`7:32: clusters.web.endpoints[1].tier: got "4", want a whole number, 0..3`,
			`8:19: clusters.web.endpoints[2].address: got "h", want host:port, ports 1..65535`,
			"9:9: clusters.web.endpoints[3].address: got nothing, want host:port, ports 1..65535",
		}},
		"routes_of_bad_values": {listeners + clusters + "routes:\n  - {cluster: wbe, host: 'a:80'}\n  - {path: x, cluster: web}\n  - {path: /api, strip_prefix: /ap, cluster: web}\n  - {headers: {A: 1, a: 1}}\n  - {headers: {A: 1, a: 1}, cluster: web}\n", []string{
			`4:15: routes[0].cluster: got "wbe", want the name of a cluster (did you mean "web"?)`,
			`4:26: routes[0].host: got "a:80", want a host name without port, or *. and a host name`,
			`5:12: routes[1].path: got "x", want a path that begins with /, without ? and #`,
			`6:32: routes[2].strip_prefix: got "/ap", want whole segments that the path "/api" begins with`,
			"7:5: routes[3].cluster: got nothing, want the name of a cluster",
			`7:25: routes[3].headers.a: got "a", want each field once, in whatever case: it is "A" too`,
			"8:5: routes[4]: got the same host, path and headers as routes[3], want each combination once",
			`8:25: routes[4].headers.a: got "a", want each field once, in whatever case: it is "A" too`,
		}},
		"TLS_of_nothing": {clusters + routes + "listeners: [{address: ':1', tls: {}}]\n", []string{"3:29: listeners[0].tls.certificates: got none, want at least one"}},
		"TLS_by_a_word":  {clusters + routes + "listeners: [{address: ':1', tls: true}]\n", []string{`3:34: listeners[0].tls: got "true", want a mapping`}},
		"certificates_of_bad_values": {
			clusters + routes + "listeners: [{address: ':1', tls: {certificates: [{cert: token}, {key: token}, {cert: token, key: x.key}], min_version: '1.1'}}]\n",
			[]string{
				"3:50: listeners[0].tls.certificates[0].key: got nothing, want the name of a readable file",
				"3:65: listeners[0].tls.certificates[1].cert: got nothing, want the name of a readable file",
				`3:98: listeners[0].tls.certificates[2].key: got "x.key", want a readable file: $DIR/x.key: no such file or directory`,
				`3:120: listeners[0].tls.min_version: got "1.1", want one of 1.2, 1.3`,
			},
		},
		"ciphers_that_are_not_spoken": {
			clusters + routes + "listeners: [{address: ':1', tls: {certificates: [{cert: token, key: token}], ciphers: [TLS_RSA_WITH_AES_128_CBC_SHA]}}, {address: ':2', tls: {certificates: [{cert: token, key: token}], min_version: '1.3', ciphers: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]}}]\n",
			[]string{
				`3:88: listeners[0].tls.ciphers[0]: got "TLS_RSA_WITH_AES_128_CBC_SHA", want one of TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256`,
				"3:206: listeners[1].tls.ciphers: got ciphers of TLS 1.2, and min_version 1.3, want one of them",
			},
		},
		"clients_verified_by_nothing": {
			clusters + routes + "listeners: [{address: ':1', tls: {certificates: [{cert: token, key: token}], client_auth: require}}]\n",
			[]string{"3:91: listeners[0].tls.client_auth: got require without client_ca, want both or neither: nothing else says whose certificates are good"},
		},
		"endpoints_without_a_name": {
			of("    tls: {}\n"),
			[]string{"6:5: clusters.web.tls.server_name: got nothing, and the endpoint 127.0.0.1:9001, whose address says no name, want the name that certificates of the endpoints are for"},
		},
		"endpoints_of_Consul_without_a_name": {
			listeners + routes + "clusters: {web: {consul: {service: web}, tls: {ca: token}}}\n",
			[]string{"3:42: clusters.web.tls.server_name: got nothing, and endpoints of Consul, whose addresses say no name, want the name that certificates of the endpoints are for"},
		},
		"TLS_of_endpoints_of_bad_values": {of("    tls: {server_name: 'a:80', certificate: {cert: token}, verify: false}\n"), []string{
			`6:24: clusters.web.tls.server_name: got "a:80", want a host name or an IP address, without port`,
			"6:32: clusters.web.tls.certificate.key: got nothing, want the name of a readable file",
			"6:60: clusters.web.tls.verify: got an unknown key, want a known one: ca, certificate, min_version, server_name",
		}},
		"networks": {clusters + routes + "listeners: [{address: ':1', trusted: [10.0.0.1/8, 10.0.0.0, '::/0']}]\n", []string{
			`3:39: listeners[0].trusted[0]: got "10.0.0.1/8", want a network such as 10.0.0.0/8`,
			`3:51: listeners[0].trusted[1]: got "10.0.0.0", want a network such as 10.0.0.0/8`,
		}},
		"proxies_that_nobody_trusts": {clusters + routes + "listeners: [{address: ':1', proxy_protocol: {}}, {address: ':2', proxy_protocol: {trusted: []}}]\n", []string{
			"3:29: listeners[0].proxy_protocol.trusted: got nothing, want the networks whose PROXY headers are believed",
			"3:83: listeners[1].proxy_protocol.trusted: got nothing, want the networks whose PROXY headers are believed",
		}},
		"proxies_of_bad_values": {clusters + routes + "listeners: [{address: ':1', proxy_protocol: {trusted: [10.0.0.1], required: no, timeout: 2, v1: true}}]\n", []string{
			`3:56: listeners[0].proxy_protocol.trusted[0]: got "10.0.0.1", want a network such as 10.0.0.0/8`,
			`3:77: listeners[0].proxy_protocol.required: got "no", want true or false`,
			`3:90: listeners[0].proxy_protocol.timeout: got "2", want a duration such as 30s or 100ms, 100ms..1m`,
			"3:93: listeners[0].proxy_protocol.v1: got an unknown key, want a known one: required, timeout, trusted",
		}},
		"proxies_without_keys":                    {clusters + routes + "listeners: [{address: ':1', proxy_protocol: true}]\n", []string{`3:45: listeners[0].proxy_protocol: got "true", want a mapping`}},
		"a_header_on_connections_that_are_shared": {of("    http2: true\n    proxy_protocol: v2\n"), []string{`7:21: clusters.web.proxy_protocol: got v2 and http2, want one of them: connections of HTTP/2 are shared by clients`}},
		"a_header_of_no_version":                  {of("    proxy_protocol: v3\n"), []string{`6:21: clusters.web.proxy_protocol: got "v3", want one of v1, v2`}},
		"windows_line_ends":                       {strings.ReplaceAll(of("    timeout: 30\n"), "\n", "\r\n"), []string{`6:14: clusters.web.timeout: got "30", want a duration such as 30s or 100ms, 1ms..24h (or 0s: none)`}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "empty", " \n")
			write(t, dir, "token", "s3cret")
			write(t, dir, "secret", "0123456789abcdef")
			write(t, dir, "mine.wasm", "x")
			file := filepath.Join(dir, "weir.yaml")
			_, err := Parse(file, []byte(tc.text), options)
			if err == nil {
				t.Fatal("accepted")
			}
			got := strings.ReplaceAll(strings.ReplaceAll(err.Error(), file+":", ""), dir, "$DIR")
			if want := strings.Join(tc.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
	t.Run("a_file_of_5_MiB", func(t *testing.T) {
		_, err := Parse("weir.yaml", make([]byte, 5<<20), options)
		if want := "weir.yaml:1:1: got 5242880 bytes, want at most 4194304"; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	})
}

// TestMistakesOfAllKindsComeAtOnce is golden: one file with syntax that is fine and nothing else that is.
func TestMistakesOfAllKindsComeAtOnce(t *testing.T) {
	text, err := os.ReadFile("testdata/bad.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/bad.txt")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, err = Parse(filepath.Join(dir, "weir.yaml"), text, options)
	if got := strings.ReplaceAll(err.Error()+"\n", dir+"/", ""); got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
