package config

import (
	"strings"
	"testing"

	"github.com/weir-lb/weir/internal/form"
)

// read reads text as a value of the form as.
func read(t *testing.T, as, text string) (value string, ok bool) {
	t.Helper()
	f := texts[as]
	if f.Want == "" {
		t.Fatalf("%s has no description", as)
	}
	if f.Lower {
		text = strings.ToLower(text)
	}
	return text, f.OK(text)
}

func TestForms(t *testing.T) {
	digest := strings.Repeat("0aF", 21) + "0"
	for as, tc := range map[string]struct{ good, bad []string }{
		"address":   {[]string{"h:1", "127.0.0.1:65535", "[::1]:80", "a_b.c-d:1"}, []string{"", "h", ":1", "h:0", "h:65536", "h:+1", "h:http", "::1:80", "a..b:1", "h h:1", "[fe80::1%eth0]:1"}},
		"listen":    {[]string{":80", ":0", "0.0.0.0:80", "[::]:80", "localhost:1"}, []string{"", "80", ":", ":-1", ":65536", "a b:1"}},
		"authority": {[]string{"h", "h:1", "127.0.0.1", "[::1]", "[::1]:80"}, []string{"", "::1", "h/", "h:0", "user@h"}},
		"condition": {[]string{"connect", "reset", "timeout", "400", "599"}, []string{"", "200", "600", "5xx", "+50", "0503"}},
		"consul":    {[]string{"h:8500", "http://h", "https://h:8501", "http://[::1]:8500/", "unix:///run/consul.sock"}, []string{"", "h", "http://", "ftp://h", "http://u:p@h", "http://h?x", "unix://h/x", "unix:///", "http://h:0"}},
		"host":      {[]string{"example.com", "*.example.com", "127.0.0.1", "[::1]"}, []string{"", "*", "*.", "a.*.b", "h:80", "::1", "*.[::1]", "a/b"}},
		"cipher":    {[]string{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}, []string{"", "TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"}},
		"name":      {[]string{"a", "A-b_c.9", strings.Repeat("a", 64)}, []string{"", "a b", "a:b", "a/b", "ä", strings.Repeat("a", 65)}},
		"prefix":    {[]string{"/", "/a/b%20c"}, []string{"", "a", "/a b", "/a?b", "/a#b", "/ä", "/\n"}},
		"server":    {[]string{"example.com", "127.0.0.1", "::1"}, []string{"", "*.example.com", "[::1]", "h:80", "a b", "a/b"}},
		"sha256":    {[]string{digest}, []string{"", digest[1:], digest + "00", "g" + digest[1:]}},
		"target":    {[]string{"/", "/a?b=c"}, []string{"", "a", "/a b", "/a#b", "http://h/"}},
		"token":     {[]string{"X-User", "a!#$%&'*+-.^_`|~9"}, []string{"", "a b", "a:b", "a\"", "ä"}},
	} {
		for _, text := range tc.good {
			if _, ok := read(t, as, text); !ok {
				t.Errorf("%s: %q is refused, want it accepted", as, text)
			}
		}
		for _, text := range tc.bad {
			if _, ok := read(t, as, text); ok {
				t.Errorf("%s: %q is accepted", as, text)
			}
		}
	}
}

func TestDigestsAndHostsAreKeptInLowerCase(t *testing.T) {
	var tree struct {
		Digest string `yaml:"digest" as:"sha256"`
		Host   string `yaml:"host" as:"host"`
	}
	digest := strings.Repeat("AB", 32)
	doc := form.Read("x", []byte("{digest: "+digest+", host: '*.Example.COM'}"), &tree, form.Options{Texts: texts})
	if len(doc.Errs) > 0 || tree.Digest != strings.ToLower(digest) || tree.Host != "*.example.com" {
		t.Errorf("%+v, %v", tree, doc.Errs)
	}
}
