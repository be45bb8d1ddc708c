package torture

import (
	"strings"
	"time"
)

// headTime is longer than any peer waits for a head.
const headTime = 14 * time.Second

// limits: how much, and how slowly.
func limits() []Case {
	const section = "9110 5.4"
	get := func(fields ...string) string { return request("GET /a", fields...) }
	line := func(n int) string { return request("GET /" + strings.Repeat("u", n-len("GET / HTTP/1.1"))) }
	many := func(n int) []string {
		return strings.Split(strings.TrimSuffix(strings.Repeat("X-A: b\n", n), "\n"), "\n")
	}
	return []Case{
		{Name: "limits/a request line of 8000 bytes", Section: "9112 3", Send: line(8000), Hold: statuses(200)},
		{Name: "limits/a request line of a mebibyte", Section: "9112 3", Send: line(1 << 20), Hold: all(first(414), unseen)},
		{Name: "limits/a field of a mebibyte", Section: section, Send: get("X-A: " + strings.Repeat("v", 1<<20)), Hold: all(first(400, 413, 431), unseen)},
		{Name: "limits/a name of a mebibyte", Section: section, Send: get(strings.Repeat("n", 1<<20) + ": v"), Hold: all(first(400, 413, 431), unseen)},
		{Name: "limits/a hundred thousand fields", Section: section, Send: get(many(100_000)...), Hold: all(first(400, 413, 431), unseen)},
		{Name: "limits/fifty fields", Section: section, Send: get(many(50)...), Hold: served("GET /a")},
		{Name: "limits/two hundred fields", Section: section, Send: get(many(200)...), Hold: either(served("GET /a"), all(first(400, 413, 431), unseen))},
		{Name: "limits/a cookie of six kibibytes", Section: section, Send: get("Cookie: a=" + strings.Repeat("c", 6<<10)), Hold: served("GET /a")},
		{Name: "limits/a head that stalls", Slow: true, Section: "9110 15.5.9", Client: slowly("GET /a HTTP/1.1\r\nHost: a\r\n"), Hold: all(refused(408), closes)},
		{Name: "limits/a head that dribbles", Slow: true, Section: "9110 15.5.9", Client: func(c *Client) {
			c.Send("GET /a HTTP/1.1\r\nHost: a\r\n")
			for end := time.Now().Add(headTime); time.Now().Before(end) && c.Ended == nil && !c.More(time.Second); {
				c.Send("X-A: b\r\n")
			}
			c.within(time.Second)
		}, Hold: all(refused(408), closes)},
		{Name: "limits/a connection on which nothing comes", Slow: true, Section: "9112 9.5", Client: slowly(""), Hold: all(first(0, 408), unseen, closes)},
	}
}

// slowly sends, and waits as long as a gateway may.
func slowly(text string) func(*Client) {
	return func(c *Client) {
		c.Send(text)
		c.within(headTime)
	}
}

// within reads one response if it comes within d, and notes the end of the connection.
func (c *Client) within(d time.Duration) {
	if c.Ended == nil && c.More(d) {
		c.Read(1)
	}
	c.More(quiet)
}
