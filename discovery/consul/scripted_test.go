package consul

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/discovery"
)

// scripted is an agent whose every answer the test gives, for what no real agent can be made to do.
type scripted struct {
	*httptest.Server
	calls chan call
}

type call struct {
	path string
	url.Values
	header http.Header
	reply  chan func(http.ResponseWriter)
}

func script(t *testing.T) *scripted {
	s := &scripted{calls: make(chan call)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := call{path: r.URL.Path, Values: r.URL.Query(), header: r.Header, reply: make(chan func(http.ResponseWriter), 1)}
		select {
		case s.calls <- c:
		case <-r.Context().Done():
			return
		}
		select {
		case f := <-c.reply:
			f(w)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// next waits for a question that has the given index and whether it is for the leader, and gives the answer.
func (s *scripted) next(t *testing.T, index string, sure bool, answer func(http.ResponseWriter)) call {
	t.Helper()
	select {
	case c := <-s.calls:
		if c.Get("index") != index || c.Has("consistent") != sure || c.Has("stale") == sure {
			t.Fatalf("asked %v, want index %q, for the leader %v", c.Values, index, sure)
		}
		c.reply <- answer
		return c
	case <-time.After(30 * time.Second):
		t.Fatalf("no question with index %q in 30 s", index)
		panic("unreachable")
	}
}

// list answers with instances of those names; one that ends in "!" is critical.
func list(index int, names string, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		var entries []string
		for name := range strings.FieldsSeq(names) {
			name, critical := strings.CutSuffix(name, "!")
			status := "passing"
			if critical {
				status = "critical"
			}
			entries = append(entries, fmt.Sprintf(`{"Node": {"ID": "n", "Address": "10.0.0.%d"},
				"Service": {"ID": %q, "Port": 80}, "Checks": [{"CheckID": "c", "Status": %q}]}`, name[0], name, status))
		}
		h := w.Header()
		h.Set("X-Consul-Index", fmt.Sprint(index))
		h.Set("X-Consul-KnownLeader", "true")
		h.Set("X-Consul-LastContact", "0")
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		fmt.Fprintf(w, "[%s]", strings.Join(entries, ","))
	}
}

func status(code int, text string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { http.Error(w, text, code) }
}

func TestScriptedFailuresKeepTheLastGood(t *testing.T) {
	s := script(t)
	r := watching(t, client(t, Options{Address: s.URL}).Service(Query{Service: "web"}))
	s.next(t, "", false, list(7, "a b"))
	good := r.until(t, "the first answer", is("live a=passing b=passing"))
	index := "7"
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter)
		want   ProblemKind
	}{
		{"429", status(429, "Your IP is issuing too many concurrent connections"), Busy},
		{"403", status(403, "Permission denied"), Denied},
		{"404", status(404, "404 page not found"), Refused},
		{"400", status(400, "Invalid index"), Refused},
		{"500 without a leader", status(500, "No cluster leader"), NoLeader},
		{"500", status(500, "rpc error making call: EOF"), Failed},
		{"503", status(503, "Service Unavailable"), Failed},
		{"garbage", func(w http.ResponseWriter) { fmt.Fprint(w, "<html>") }, Garbled},
		{"JSON of another shape", func(w http.ResponseWriter) { fmt.Fprint(w, `{"Node": 1}`) }, Garbled},
		{"half a list", func(w http.ResponseWriter) { fmt.Fprint(w, `[{"Node": {"ID"`) }, Unreachable},
		{"a cut connection", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "[")
			_ = http.NewResponseController(w).Flush() // before a byte of the answer the transport asks again by itself
			panic(http.ErrAbortHandler)
		}, Unreachable},
		{"a server that lost its leader", list(9, "", "X-Consul-KnownLeader", "false"), NoLeader},
		{"a server that is far behind", list(9, "", "X-Consul-LastContact", "61000"), NoLeader},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.next(t, index, false, c.answer)
			st := r.until(t, "the reason", stale("live a=passing b=passing", c.want))
			if !st.At.Equal(good.At) {
				t.Errorf("the age of the answer moved from %v to %v", good.At, st.At)
			}
			index = "" // an index is worth nothing after an error
		})
	}
	s.next(t, "", false, list(8, "a b!"))
	if st := r.until(t, "a good answer", is("live a=passing b=critical")); !st.At.After(good.At) {
		t.Errorf("the answer is of %v, want later than %v", st.At, good.At)
	}
	s.next(t, "8", false, list(9, "a b"))
}

func TestScriptedIndex(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer int
		next   string
	}{
		{"that grows is waited on", 12, "12"},
		{"that stays is waited on again", 10, "10"},
		{"that goes backwards is dropped", 9, ""},
		{"of zero is as one, which is backwards", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := script(t)
			watching(t, client(t, Options{Address: s.URL}).Service(Query{Service: "web"}))
			s.next(t, "", false, list(10, "a"))
			s.next(t, "10", false, list(c.answer, "a"))
			s.next(t, c.next, false, list(20, "a"))
		})
	}
	t.Run("of zero at first is as one", func(t *testing.T) {
		s := script(t)
		watching(t, client(t, Options{Address: s.URL}).Service(Query{Service: "web"}))
		s.next(t, "", false, list(0, "a"))
		s.next(t, "1", false, list(2, "a"))
	})
	t.Run("is left out when a full answer is due", func(t *testing.T) {
		s := script(t)
		watching(t, client(t, Options{Address: s.URL, Refresh: time.Nanosecond}).Service(Query{Service: "web"}))
		s.next(t, "", false, list(10, "a"))
		s.next(t, "", false, list(10, "a"))
	})
}

func TestScriptedShrink(t *testing.T) {
	const five = "live a=passing b=passing c=passing d=passing e=passing"
	begin := func(t *testing.T, hold time.Duration) (*scripted, *record) {
		s := script(t)
		r := watching(t, client(t, Options{Address: s.URL, Hold: hold}).Service(Query{Service: "web"}))
		s.next(t, "", false, list(10, "a b c d e"))
		r.until(t, "the first answer", is(five))
		return s, r
	}
	t.Run("of 60 % is asked of the leader, twice", func(t *testing.T) {
		const hold = 200 * time.Millisecond
		s, r := begin(t, hold)
		s.next(t, "10", false, list(11, "a b"))
		r.until(t, "doubt", stale(five, Doubted))
		s.next(t, "", true, list(11, "a b"))
		first := r.until(t, "doubt of the leader's word", stale(five, Doubted))
		c := s.next(t, "11", false, list(12, "a b!"))
		if wait, err := time.ParseDuration(c.Get("wait")); err != nil || wait > hold {
			t.Errorf("wait %q, want at most the hold of %v", c.Get("wait"), hold)
		}
		r.until(t, "news of those that are left", stale("live a=passing b=critical c=passing d=passing e=passing", Doubted))
		for asked, index := 1, 12; ; asked++ {
			s.next(t, "", true, list(index, "a b!"))
			st := r.until(t, "the leader's word", func(discovery.State) bool { return true })
			if st.Err == nil {
				if d := st.when.Sub(first.when); d < hold-20*time.Millisecond || len(st.Instances) != 2 {
					t.Errorf("believed %s after %v, want a and b after %v", sketch(st.State), d, hold)
				}
				return
			}
			if asked > 100 {
				t.Fatal("asked the leader 100 times")
			}
			s.next(t, fmt.Sprint(index), false, list(index, "a b!"))
			r.until(t, "the same", func(discovery.State) bool { return true })
		}
	})
	t.Run("that the leader denies did not happen", func(t *testing.T) {
		s, r := begin(t, time.Hour)
		s.next(t, "10", false, list(11, ""))
		r.until(t, "doubt", stale(five, Doubted))
		s.next(t, "", true, list(11, "a b c d e"))
		r.until(t, "all of them", is(five))
		s.next(t, "11", false, list(11, "a b c d e"))
	})
	t.Run("of 40 % is believed", func(t *testing.T) {
		s, r := begin(t, time.Hour)
		s.next(t, "10", false, list(11, "a b c"))
		r.until(t, "three", is("live a=passing b=passing c=passing"))
	})
	t.Run("of those that were critical is believed", func(t *testing.T) {
		s, r := begin(t, time.Hour)
		s.next(t, "10", false, list(11, "a! b! c! d! e"))
		s.next(t, "11", false, list(12, "e"))
		r.until(t, "one", is("live e=passing"))
	})
	t.Run("is doubted afresh after an error", func(t *testing.T) {
		s, r := begin(t, time.Nanosecond) // any two answers of the leader are far enough apart
		s.next(t, "10", false, list(11, "a"))
		r.until(t, "doubt", stale(five, Doubted))
		s.next(t, "", true, list(11, "a"))
		r.until(t, "doubt of the leader's word", stale(five, Doubted))
		s.next(t, "11", false, status(500, "No cluster leader"))
		r.until(t, "an error", stale(five, NoLeader))
		s.next(t, "", false, list(11, "a"))
		r.until(t, "doubt", stale(five, Doubted))
		s.next(t, "", true, list(11, "a"))
		if st := r.until(t, "the leader's word", func(discovery.State) bool { return true }); kind(st.Err) != Doubted {
			t.Errorf("got %s, %v, want doubt: this is the leader's first word since the error", sketch(st.State), st.Err)
		}
		s.next(t, "11", false, list(11, "a"))
		s.next(t, "", true, list(11, "a"))
		r.until(t, "belief", is("live a=passing"))
	})
	t.Run("to nothing after an outage is never believed, whatever the index", func(t *testing.T) {
		s, r := begin(t, time.Hour)
		doubted := func(why string) {
			t.Helper()
			st := r.until(t, "doubt", stale(five, Doubted))
			if !strings.Contains(st.Err.Error(), why) {
				t.Errorf("doubted because %v, want %q", st.Err, why)
			}
		}
		s.next(t, "10", false, status(500, "rpc error making call: EOF"))
		r.until(t, "an error", stale(five, Failed))
		for range 2 { // an agent that was started anew and is past the index of the one before
			s.next(t, "", false, list(20, ""))
			doubted("came back without this service")
			s.next(t, "", true, list(20, ""))
			doubted("came back without this service")
			s.next(t, "20", false, status(500, "rpc error making call: EOF"))
			r.until(t, "another error", stale(five, Failed))
		}
		s.next(t, "", false, list(21, "a")) // they are registered anew one by one
		doubted("4 of 5 instances are missing at once: keeping them until that is confirmed in 24h0m0s")
		s.next(t, "", true, list(22, "a b c d e"))
		r.until(t, "all of them", is(five))
		s.next(t, "22", false, list(24, ""))
		doubted("5 of 5 instances are missing at once: keeping them until that is confirmed in 1h0m0s")
	})
	t.Run("by ACLs says nothing of those that are hidden", func(t *testing.T) {
		s, r := begin(t, time.Nanosecond)
		s.next(t, "10", false, list(11, "a!", "X-Consul-Results-Filtered-By-ACLs", "true"))
		r.until(t, "news of the visible one", stale("live a=critical b=passing c=passing d=passing e=passing", Filtered))
		s.next(t, "11", false, list(12, "", "X-Consul-Results-Filtered-By-ACLs", "true"))
		r.until(t, "the others kept", func(st discovery.State) bool { return len(st.Instances) >= 4 && kind(st.Err) == Filtered })
	})
}

func TestScriptedAnswerIsCutOffAtItsBound(t *testing.T) {
	s := script(t)
	c := client(t, Options{Address: s.URL})
	var n int64
	err := make(chan error)
	go func() {
		resp, e := c.http.Get(s.URL + "?stale")
		if e == nil {
			n, e = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		err <- e
	}()
	s.next(t, "", false, func(w http.ResponseWriter) {
		for blanks := strings.Repeat(" ", 1<<16); ; {
			if _, err := io.WriteString(w, blanks); err != nil {
				return
			}
		}
	})
	if e := <-err; !errors.Is(e, errTooLong) || n != maxBody {
		t.Errorf("read %d bytes, then %v, want %d and %v", n, e, maxBody, errTooLong)
	}
}

func TestScriptedBadEntryHidesNoOther(t *testing.T) {
	s := script(t)
	r := watching(t, client(t, Options{Address: s.URL}).Service(Query{Service: "web"}))
	s.next(t, "", false, func(w http.ResponseWriter) {
		fmt.Fprint(w, `[{"Node": {"ID": "n", "Address": "h"}, "Service": {"ID": "a", "Port": 0}},
			{"Node": {"ID": "n", "Address": "h"}, "Service": {"ID": "b", "Port": 80}}]`)
	})
	// No header of Consul at all: such an answer comes from something else.
	r.until(t, "distrust", stale("none", NoLeader))
	s.next(t, "", false, func(w http.ResponseWriter) {
		w.Header().Set("X-Consul-KnownLeader", "true")
		w.Header().Set("X-Consul-LastContact", "0")
		fmt.Fprint(w, `[{"Node": {"ID": "n", "Address": "h"}, "Service": {"ID": "a", "Port": 0}},
			{"Node": {"ID": "n", "Address": "h"}, "Service": {"ID": "b", "Port": 80}}]`)
	})
	st := r.until(t, "the good one", stale("live b=passing", Garbled))
	if !strings.Contains(st.Err.Error(), `instance "n/a": address "h", port 0, want`) {
		t.Errorf("error %q does not name the bad entry", st.Err)
	}
}

func TestScriptedStartWithoutConsul(t *testing.T) {
	path := t.TempDir() + "/snapshot.json"
	open := func() *discovery.Snapshot {
		snap, err := discovery.OpenSnapshot(path, discovery.SnapshotOptions{})
		must(t, err)
		t.Cleanup(func() { _ = snap.Close() })
		return snap
	}
	s, snap := script(t), open()
	r := watching(t, client(t, Options{Address: s.URL, Snapshot: snap}).Service(Query{Service: "web"}))
	s.next(t, "", false, list(7, "a b"))
	live := r.until(t, "the answer", is("live a=passing b=passing"))
	s.next(t, "7", false, list(8, "a b"))
	must(t, snap.Close())
	must(t, s.Listener.Close())
	s.CloseClientConnections()

	again := open()
	c := client(t, Options{Address: s.URL, Snapshot: again})
	r = watching(t, c.Service(Query{Service: "web"}))
	st := r.until(t, "the last known good", func(st discovery.State) bool { return sketch(st) == "snapshot a=passing b=passing" })
	if st.At.Before(live.At.Add(-time.Second)) || st.At.After(time.Now()) || st.Err == nil {
		t.Errorf("answer of %v, error %v, want that of %v and an error", st.At, st.Err, live.At)
	}
	r.until(t, "no agent", stale("snapshot a=passing b=passing", Unreachable))
	other := watching(t, c.Service(Query{Service: "web", Filter: "x"}))
	other.until(t, "nothing: the question is another", stale("none", Unreachable))
}

func TestScriptedEnvironment(t *testing.T) {
	s := script(t)
	t.Setenv("CONSUL_HTTP_ADDR", s.URL)
	t.Setenv("CONSUL_HTTP_TOKEN", "from-environment")
	t.Setenv("CONSUL_NAMESPACE", "ns1")
	watching(t, client(t, Options{}).Service(Query{Service: "web"}))
	c := s.next(t, "", false, list(1, "a"))
	if c.header.Get("X-Consul-Token") != "from-environment" || c.Get("ns") != "ns1" {
		t.Errorf("token %q, namespace %q, want those of the environment", c.header.Get("X-Consul-Token"), c.Get("ns"))
	}

	other := script(t)
	watching(t, client(t, Options{Address: other.URL, Token: "from-options"}).Service(Query{Service: "web"}))
	c = other.next(t, "", false, list(1, "a"))
	if c.header.Get("X-Consul-Token") != "from-options" || c.Get("ns") != "ns1" {
		t.Errorf("token %q, namespace %q, want those of the options, and of the environment what they leave open",
			c.header.Get("X-Consul-Token"), c.Get("ns"))
	}
}

func TestNewRefusesWhatMakesNoSense(t *testing.T) {
	empty := t.TempDir() + "/token"
	must(t, os.WriteFile(empty, []byte("\n"), 0o600))
	for _, c := range []struct {
		name, want string
		opts       Options
	}{
		{"a token file that is not there", "no such file", Options{TokenFile: empty + "x"}},
		{"a token file that is empty", "empty, want a token", Options{TokenFile: empty}},
		{"a scheme that is not HTTP", "ftp", Options{Address: "ftp://localhost"}},
	} {
		if _, err := New(c.opts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}
