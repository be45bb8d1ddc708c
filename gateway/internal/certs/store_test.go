package certs

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// TestMistakes is golden: what Prepare says about what cannot serve, all at once. "$DIR/" stands for the folder.
func TestMistakes(t *testing.T) {
	d := newDesk(t)
	lasting := func(names ...string) gatewaytest.Leaf {
		return gatewaytest.Leaf{Names: names, From: day(-30), Until: day(300)}
	}
	good, next := d.issue("good", lasting("a.example")), d.issue("next", lasting("b.example"))
	broken := strings.Replace(string(d.PEM), "\nM", "\nA", 1)
	for name, tc := range map[string]struct {
		pair Pair
		want string
	}{
		"no_certificate_file": {Pair{Cert: d.file("none.pem"), Key: good.Key}, ".cert: got $DIR/none.pem: no such file or directory, want certificates in PEM, first the one that the key belongs to"},
		"a_folder":            {Pair{Cert: d.dir, Key: good.Key}, ".cert: got $DIR, which is d---------, want certificates in PEM, first the one that the key belongs to"},
		"no_PEM":              {Pair{Cert: d.put("der", []byte("\x30\x82")), Key: good.Key}, ".cert: got no certificate in $DIR/der, want certificates in PEM, first the one that the key belongs to"},
		"a_broken_certificate": {
			Pair{Cert: d.put("broken.pem", []byte(broken)), Key: good.Key},
			".cert: got a certificate in $DIR/broken.pem that cannot be read (malformed certificate), want certificates in PEM, first the one that the key belongs to",
		},
		"a_large_file":  {Pair{Cert: d.put("large.pem", make([]byte, maxFile+1)), Key: good.Key}, ".cert: got more than 1048576 bytes in $DIR/large.pem, want certificates in PEM, first the one that the key belongs to"},
		"swapped_files": {Pair{Cert: good.Key, Key: good.Cert}, ".cert: got no certificate in $DIR/good.key, want certificates in PEM, first the one that the key belongs to"},
		"no_key": {
			Pair{Cert: good.Cert, Key: good.Cert},
			".key: got $DIR/good.pem (found a certificate rather than a key in the PEM for the private key), want its private key in PEM, without a passphrase",
		},
		"an_empty_key":          {Pair{Cert: good.Cert, Key: d.put("empty", nil)}, ".key: got $DIR/empty (failed to find any PEM data in key input), want its private key in PEM, without a passphrase"},
		"the_key_of_another":    {Pair{Cert: good.Cert, Key: next.Key}, ".key: got $DIR/next.key, the key of another certificate than $DIR/good.pem, want its private key in PEM, without a passphrase"},
		"an_expired_one":        {d.issue("old", gatewaytest.Leaf{Names: []string{"old.example"}, From: day(-90), Until: day(-1)}), ".cert: got $DIR/old.pem, for old.example, that expired on 2026-11-22T00:00:00Z, want one that is valid now"},
		"one_of_tomorrow":       {d.issue("new", gatewaytest.Leaf{Names: []string{"new.example"}, From: day(1), Until: day(90)}), ".cert: got $DIR/new.pem, for new.example, that is not valid before 2026-11-24T00:00:00Z, want one that is valid now"},
		"one_that_soon_expires": {d.issue("soon", gatewaytest.Leaf{Names: []string{"soon.example"}, From: day(-80), Until: day(10)}), ".cert: got $DIR/soon.pem, for soon.example, that expires on 2026-12-03T00:00:00Z, want its successor"},
		"a_name_twice":          {d.issue("twice", lasting("c.example", "first.example")), ".cert: got $DIR/twice.pem, for first.example with a key of the kind ecdsa, as at.first, want each name once for each kind of key"},
		"no_name":               {d.issue("nameless", lasting()), ".cert: got $DIR/nameless.pem, for no name of a host, want one for a name, since only the first serves others"},
		"a_key_for_everybody":   {d.issue("open", lasting("open.example")), ".key: got $DIR/open.key, a key that everybody on this host can read (mode 0644), want mode 0600 or 0640"},
		"nothing_wrong":         {next, ""},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, os.Chmod(d.file("open.key"), 0o644))
			s := New(func() time.Time { return day(0) })
			tc.pair.Path = "at.second"
			_, problems := s.Prepare(Spec{Listeners: map[string]ListenerSpec{"web": of(d.issue("first", lasting("first.example")), tc.pair)}})
			if tc.want == "" && len(problems) == 0 {
				return
			}
			if len(problems) != 1 {
				t.Fatalf("%v, want one", problems)
			}
			if got := strings.ReplaceAll(problems[0].Error(), d.dir, "$DIR"); got != "at.second"+tc.want {
				t.Errorf("got  %s\nwant %s", got, "at.second"+tc.want)
			}
		})
	}
	t.Run("authorities_without_a_certificate", func(t *testing.T) {
		l := of(good)
		l.ClientCA = d.put("empty.pem", nil)
		_, problems := New(time.Now).Prepare(Spec{Listeners: map[string]ListenerSpec{"web": l}, Clusters: map[string]ClusterSpec{"web": {Path: "of", CA: l.ClientCA}}})
		want := "at.client_ca: got no certificate in $DIR/empty.pem, want certificates of authorities in PEM\n" +
			"of.ca: got no certificate in $DIR/empty.pem, want certificates of authorities in PEM"
		var got []string
		for _, p := range problems {
			got = append(got, strings.ReplaceAll(p.Error(), d.dir, "$DIR"))
		}
		if strings.Join(got, "\n") != want {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
		}
	})
}

// day is so many days from the 23rd of November 2026.
func day(n int) time.Time { return time.Date(2026, 11, 23+n, 0, 0, 0, 0, time.UTC) }

// TestAChangedFile holds what becomes of the certificate that serves when its files change.
func TestAChangedFile(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(t *testing.T, d *desk)
		kind   Kind
		leaf   string // that serves afterwards
	}{
		"is_taken":                 {func(_ *testing.T, d *desk) { d.issue("a", named("new.example")) }, Taken, "new.example"},
		"is_taken_with_other_keys": {func(_ *testing.T, d *desk) { d.issue("a", gatewaytest.Leaf{Names: []string{"new.example"}, RSA: true}) }, Taken, "new.example"},
		"is_the_same_as_before": {func(t *testing.T, d *desk) {
			data, err := os.ReadFile(d.file("a.pem"))
			must(t, err)
			d.put("a.pem", data)
		}, Nothing, "old.example"},
		"has_another_key": {func(_ *testing.T, d *desk) { _, key := d.Issue(d.t, named("new.example")); d.put("a.key", key) }, Refused, "old.example"},
		"is_no_PEM":       {func(_ *testing.T, d *desk) { d.put("a.pem", []byte("x")) }, Refused, "old.example"},
		"is_gone":         {func(t *testing.T, d *desk) { must(t, os.Remove(d.file("a.pem"))) }, Refused, "old.example"},
		"has_expired": {func(_ *testing.T, d *desk) {
			d.issue("a", gatewaytest.Leaf{Names: []string{"new.example"}, Until: time.Now().Add(-time.Minute)})
		}, Refused, "old.example"},
		"is_not_valid_yet": {func(_ *testing.T, d *desk) {
			d.issue("a", gatewaytest.Leaf{Names: []string{"new.example"}, From: time.Now().Add(time.Hour)})
		}, Refused, "old.example"},
		"has_anothers_name": {func(_ *testing.T, d *desk) { d.issue("a", named("new.example", "second.example")) }, Refused, "old.example"},
		"is_swapped_by_link": {func(t *testing.T, d *desk) {
			must(t, os.Mkdir(d.file("..2"), 0o700))
			p := d.issue("..2/a", named("new.example"))
			must(t, os.Symlink(p.Cert, d.file("l")), os.Rename(d.file("l"), d.file("a.pem")), os.Symlink(p.Key, d.file("l")), os.Rename(d.file("l"), d.file("a.key")))
		}, Taken, "new.example"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			first, second := d.issue("a", named("old.example")), d.issue("b", named("second.example"))
			s := serving(t, new(clock), of(first, second))
			if news := s.Refresh(); len(news) > 0 {
				t.Fatalf("%v before anything changed", news)
			}
			tc.change(t, d)
			var want []Kind
			if tc.kind != Nothing {
				want = []Kind{tc.kind}
			}
			if got := kinds(s.Refresh()); !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
			if got := kinds(s.Refresh()); len(got) > 0 {
				t.Errorf("%v is told twice", got)
			}
			if leaf := d.leaf(s); leaf != tc.leaf {
				t.Errorf("%s serves, want %s", leaf, tc.leaf)
			}
			st := s.Status()[0]
			if refused := tc.kind == Refused; (st.Refused != "") != refused || st.Refusals != map[bool]uint64{true: 1}[refused] || st.RefusedSince.IsZero() == refused {
				t.Errorf("%+v", st)
			}
			d.issue("a", named("last.example"))
			if got := kinds(s.Refresh()); !slices.Equal(got, []Kind{Taken}) || d.leaf(s) != "last.example" || s.Status()[0].Refused != "" {
				t.Errorf("a good one after that: %v, %+v", got, s.Status()[0])
			}
		})
	}
}

func TestWhatServesComesBack(t *testing.T) {
	d := newDesk(t)
	pair := d.issue("a", named("a.example"))
	s := serving(t, new(clock), of(pair))
	must(t, os.Rename(pair.Cert, pair.Cert+".away"))
	first := kinds(s.Refresh())
	must(t, os.Rename(pair.Cert+".away", pair.Cert))
	if then := kinds(s.Refresh()); !slices.Equal(first, []Kind{Refused}) || !slices.Equal(then, []Kind{Back}) || s.Status()[0].Refused != "" {
		t.Errorf("%v, then %v, %+v", first, then, s.Status()[0])
	}
}

// TestARefusalHasABeginning holds that another mistake in the same files does not hide since when they are refused.
func TestARefusalHasABeginning(t *testing.T) {
	d, c := newDesk(t), new(clock)
	s := serving(t, c, of(d.issue("a", named("a.example"))))
	d.put("a.pem", []byte("nothing"))
	s.Refresh()
	since := s.Status()[0].RefusedSince
	c.pass(time.Hour)
	must(t, os.Remove(d.file("a.pem")))
	news := s.Refresh()
	if st := s.Status()[0]; !slices.Equal(kinds(news), []Kind{Refused}) || !st.RefusedSince.Equal(since) || st.Refusals != 2 || !strings.Contains(st.Refused, "no such file") {
		t.Errorf("%v, %+v, want since %v", kinds(news), st, since)
	}
}

// TestAKeyBecomesReadable holds that this is told once each time that it happens.
func TestAKeyBecomesReadable(t *testing.T) {
	d := newDesk(t)
	pair := d.issue("a", named("a.example"))
	s := serving(t, new(clock), of(pair))
	for i, tc := range []struct {
		mode os.FileMode
		want int
	}{{0o640, 0}, {0o644, 1}, {0o644, 0}, {0o600, 0}, {0o604, 1}} {
		must(t, os.Chmod(pair.Key, tc.mode))
		if news := s.Refresh(); len(news) != tc.want || tc.want == 1 && (news[0].Kind != Look || !strings.Contains(news[0].Problem.Got, "that everybody on this host can read")) {
			t.Errorf("step %d, mode %o: %+v, want %d news", i, tc.mode, news, tc.want)
		}
	}
}

// TestACertificateOfTomorrow holds that one that was refused for its time is taken when that comes, with no file changed.
func TestACertificateOfTomorrow(t *testing.T) {
	d, c := newDesk(t), new(clock)
	s := serving(t, c, of(d.issue("a", named("old.example"))))
	d.issue("a", gatewaytest.Leaf{Names: []string{"new.example"}, From: time.Now().Add(time.Hour)})
	today := kinds(s.Refresh())
	c.pass(2 * time.Hour)
	if tomorrow := kinds(s.Refresh()); !slices.Equal(today, []Kind{Refused}) || !slices.Equal(tomorrow, []Kind{Taken}) {
		t.Errorf("%v, then %v", today, tomorrow)
	}
}

// TestExpiry holds who is reminded and how often, and that one which has expired makes room for any other.
func TestExpiry(t *testing.T) {
	for name, tc := range map[string]struct {
		life, left time.Duration
		want       State
	}{
		"a_year":                  {365 * 24 * time.Hour, 15 * 24 * time.Hour, Valid},
		"a_year_two_weeks_before": {365 * 24 * time.Hour, 13 * 24 * time.Hour, Expiring},
		"six_days":                {6 * 24 * time.Hour, 49 * time.Hour, Valid},
		"six_days_a_third_before": {6 * 24 * time.Hour, 47 * time.Hour, Expiring},
		"over":                    {24 * time.Hour, -time.Second, Expired},
		"not_begun":               {24 * time.Hour, 25 * time.Hour, NotYet},
	} {
		now := time.Now()
		m := &material{notBefore: now.Add(tc.left - tc.life), notAfter: now.Add(tc.left)}
		if got := m.state(now); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
	d, c := newDesk(t), new(clock)
	s := serving(t, c, of(d.issue("a", gatewaytest.Leaf{Names: []string{"a.example"}, From: time.Now().AddDate(0, 0, -75), Until: time.Now().AddDate(0, 0, 15)})))
	var got []string
	for hour := range 17 * 24 {
		for _, n := range s.Refresh() {
			got = append(got, fmt.Sprintf("%d %s", hour/24, n.State))
		}
		c.pass(time.Hour)
	}
	if len(got) != 16 || got[0] != "1 expiring" || got[13] != "14 expiring" || got[14] != "15 expired" {
		t.Errorf("reminders %q, want one a day from day 1 on", got)
	}
	d.issue("a", gatewaytest.Leaf{Names: []string{"b.example"}, Until: time.Now().AddDate(0, 0, 16)})
	if got := kinds(s.Refresh()); !slices.Equal(got, []Kind{Taken}) {
		t.Errorf("%v for one that has expired too, want %v", got, Taken)
	}
}

// TestReloadIsOfTheWholeOrNothing holds that what Prepare finds leaves the store as it was until Commit.
func TestReloadIsOfTheWholeOrNothing(t *testing.T) {
	d := newDesk(t)
	pair := d.issue("a", named("old.example"))
	s := serving(t, new(clock), of(pair))
	was := s.Listener("web")
	d.issue("a", named("new.example"))
	next, problems := s.Prepare(Spec{Listeners: map[string]ListenerSpec{"web": of(pair), "more": of(d.issue("b", named("b.example")))}})
	if len(problems) > 0 || d.leaf(s) != "old.example" || s.Listener("more") != nil || next.Listener("web") != was {
		t.Fatalf("%v", problems)
	}
	if news := s.Commit(next); !slices.Equal(kinds(news), []Kind{Taken}) || d.leaf(s) != "new.example" || s.Listener("web") != was || s.Listener("more") == nil {
		t.Errorf("%v", news)
	}
	must(t, os.Remove(pair.Key)) // what serves stays, and is no mistake of the configuration
	if news := commit(t, s, Spec{Listeners: map[string]ListenerSpec{"web": of(pair)}}); !slices.Equal(kinds(news), []Kind{Refused}) || d.leaf(s) != "new.example" {
		t.Errorf("%v", news)
	}
	if s.Listener("more") != nil || len(s.Status()) != 1 {
		t.Errorf("%+v", s.Status())
	}
}

// TestReloadUnderHandshakes is a hammer: certificates change with every refresh while clients come, and no handshake fails.
func TestReloadUnderHandshakes(t *testing.T) {
	d, c := newDesk(t), new(clock)
	const rounds = 30
	s := serving(t, c, of(d.issue("a", named("a.example", "0.example"))))
	address := listen(t, s.Listener("web").Config())
	var clients sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		clients.Go(func() {
			config := &tls.Config{ServerName: "a.example", RootCAs: d.Pool, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := dial(address, config); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range rounds {
		d.issue("a", named("a.example", fmt.Sprintf("%d.example", i+1)))
		c.pass(time.Hour)
		s.Refresh()
		c.pass(ticketRotation)
		s.Refresh() // which changes the keys of tickets under the configuration that serves
	}
	close(done)
	clients.Wait()
	if names := s.Status()[0].Names; !slices.Contains(names, fmt.Sprintf("%d.example", rounds)) {
		t.Errorf("%v serve, want those of the last", names)
	}
}

func TestFiles(t *testing.T) {
	spec := Spec{
		Listeners: map[string]ListenerSpec{"web": {Pairs: []Pair{{Cert: "a", Key: "b"}}, ClientCA: "c"}},
		Clusters:  map[string]ClusterSpec{"web": {CA: "d"}, "api": {Pair: Pair{Cert: "e", Key: "f"}}},
	}
	files := spec.Files()
	slices.Sort(files)
	if got := filepath.Join(files...); got != "a/b/c/d/e/f" {
		t.Error(got)
	}
}
