package torture

import "strings"

// forwarding: who the client is, said by an edge that trusts no client (RFC 7239).
func forwarding() []Case {
	get := func(fields ...string) string { return request("GET /a", fields...) }
	good := served("GET /a")
	none := func(what string, names ...string) Check {
		return verdict("the endpoint was told "+what+" by a stranger", func(r *Result) bool {
			for _, n := range names {
				if strings.Contains(strings.Join(r.Seen[0].Request.Header.Values(n), ","), what) {
					return false
				}
			}
			return true
		})
	}
	return []Case{
		{Name: "forwarding/X-Forwarded-For is the client", Section: "7239 7.4", Send: get(), Hold: all(good, forwarded("X-Forwarded-For", "127.0.0.1"))},
		{Name: "forwarding/X-Forwarded-For of a stranger", Section: "7239 8.1", Send: get("X-Forwarded-For: 10.9.8.7"), Hold: all(good, forwarded("X-Forwarded-For", "127.0.0.1"))},
		{Name: "forwarding/X-Forwarded-For of a stranger in two lines", Section: "7239 8.1", Send: get("X-Forwarded-For: 10.9.8.7", "x-forwarded-for: 10.9.8.6"), Hold: all(good, forwarded("X-Forwarded-For", "127.0.0.1"))},
		{Name: "forwarding/X-Forwarded-For with an underscore", Section: "7239 8.1", Send: get("X_Forwarded_For: 10.9.8.7"), Hold: either(refused(), all(good, none("10.9.8.7", "X-Forwarded-For")))},
		{Name: "forwarding/X-Forwarded-For nominated away", Section: "9110 7.6.1", Send: get("Connection: X-Forwarded-For", "X-Forwarded-For: 10.9.8.7"), Hold: all(good, forwarded("X-Forwarded-For", "127.0.0.1"))},
		{Name: "forwarding/X-Forwarded-Proto of a stranger", Section: "7239 8.1", Send: get("X-Forwarded-Proto: https"), Hold: all(good, none("https", "X-Forwarded-Proto"))},
		{Name: "forwarding/Forwarded of a stranger", Section: "7239 8.1", Send: get("Forwarded: for=10.9.8.7;proto=https"), Hold: all(good, none("10.9.8.7", "Forwarded"))},
		{Name: "forwarding/Forwarded with a quote that is not closed", Section: "7239 8.1", Send: get(`Forwarded: for="10.9.8.7`), Hold: either(refused(), all(good, none("10.9.8.7", "Forwarded")))},
		{Name: "forwarding/Forwarded says address and scheme", Section: "7239 4", Send: get(), Hold: all(good, verdict("Forwarded does not say for=127.0.0.1 and proto=http", func(r *Result) bool {
			f := strings.ToLower(r.Seen[0].Request.Header.Get("Forwarded"))
			return strings.Contains(f, "for=127.0.0.1") && strings.Contains(f, "proto=http")
		}))},
	}
}
