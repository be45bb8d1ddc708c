package clients

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// uploadFile makes a body that is sent, with its SHA-256 as the endpoint tells it.
func uploadFile(t *testing.T, s *site) (file, sum string) {
	t.Helper()
	data := bytes.Repeat([]byte("0123456789abcdef"), 6400)
	s.put(t, "upload", data)
	sum, err := Sum(bytes.NewReader(data))
	must(t, err)
	return s.file("upload"), fmt.Sprintf("%d %%t %s", len(data), sum)
}

// want compares.
func want[T comparable](got, want T) error {
	if got != want {
		return fmt.Errorf("got %.200q, want %.200q", fmt.Sprint(got), fmt.Sprint(want))
	}
	return nil
}

const largeSize = 16 << 20

// runCurl checks each case with a curl of its own.
func runCurl(t *testing.T, s *site, w way) results {
	version := map[way]string{tls1: "--http1.1", tls2: "--http2", plain1: "--http1.1", plain2: "--http2-prior-knowledge"}[w]
	base, speaks := s.base(w), map[string]string{"http1": "1.1", "http2": "2"}[protocolOf(w)]
	file, echoed := uploadFile(t, s)
	curl := func(args ...string) *exec.Cmd {
		return exec.CommandContext(bounded(t), "curl", append([]string{"--silent", "--show-error", version, "--cacert", s.file("ca.pem")}, args...)...)
	}
	// ask returns what curl prints, with the version and the status after it.
	ask := func(args ...string) (string, error) {
		out, err := curl(append([]string{"--write-out", "|%{http_version} %{http_code}"}, args...)...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("curl: %w: %s", err, out)
		}
		return string(out), nil
	}
	asked := func(wanted, status string, args ...string) error {
		got, err := ask(args...)
		if err != nil {
			return err
		}
		return want(got, wanted+"|"+speaks+" "+status)
	}
	got := results{
		"get":     asked(Hello, "200", base+"/hello"),
		"post":    asked(fmt.Sprintf(echoed, false), "200", "--data-binary", "@"+file, base+"/echo"),
		"chunked": asked(fmt.Sprintf(echoed, true), "200", "-H", "Transfer-Encoding: chunked", "--data-binary", "@"+file, base+"/echo"),
		"missing": asked("404 page not found\n", "404", base+"/missing"),
		"gzip":    asked(Text, "200", "--compressed", base+"/gzip"),
	}
	if w == tls2 || w == plain2 { // there is no Transfer-Encoding in HTTP/2; a body of unknown length comes from a pipe
		cmd := curl("--upload-file", "-", base+"/echo")
		cmd.Stdin = bytes.NewReader(bytes.Repeat([]byte("0123456789abcdef"), 6400))
		out, err := cmd.Output()
		got["chunked"] = err
		if err == nil {
			got["chunked"] = want(string(out), fmt.Sprintf(echoed, true))
		}
	}
	body := s.file("large." + runID(t))
	out, err := ask("--dump-header", "-", "--output", body, fmt.Sprintf("%s/large?n=%d", base, largeSize))
	if got["large"] = err; err == nil {
		got["large"] = sameFile(body, out)
	}
	if out, err = ask("--head", base+"/hello"); err == nil && !strings.Contains(strings.ToLower(out), "\r\ncontent-length: 6\r\n") {
		err = fmt.Errorf("got %q, want a length of 6", out)
	}
	got["head"] = err
	if w != plain2 {
		ports, err := curl(slices.Repeat([]string{base + "/port"}, 5)...).Output()
		if got["reuse"] = err; err == nil {
			got["reuse"] = want(string(ports), strings.Repeat(string(ports[:len(ports)/5]), 5))
		}
	}
	if out, err = ask("-H", "TE: trailers", "--dump-header", "-", base+"/trailers"); err == nil && !strings.Contains(strings.ToLower(out), "checked: yes") {
		err = fmt.Errorf("got %q, want the trailer field Checked: yes", out)
	}
	got["trailers"] = err
	got["events"] = readEvents(s, runID(t), curl("--no-buffer", base+"/events?run="+runID(t)))
	if w == tls1 || w == tls2 {
		_, port, _ := strings.Cut(s.gateway.Addresses["mutual"], ":")
		there := "https://localhost:" + port + "/who"
		out, err = ask("--cert", s.file("client.pem"), "--key", s.file("client.key"), there)
		if err == nil && !strings.Contains(out, "Client-Cert: :MII") {
			err = fmt.Errorf("got %q, want the client's certificate in Client-Cert", out)
		}
		got["certificate"], got["no certificate"] = err, nil
		if out, err := ask(there); err == nil {
			got["no certificate"] = fmt.Errorf("got %q, want a failed handshake", out)
		}
	}
	return got
}

// sameFile compares a file with the SHA-256 that a head tells.
func sameFile(name, head string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	sum, err := Sum(f)
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(strings.ToLower(head), "digest-hex: ")
	wanted, _, _ := strings.Cut(rest, "\r\n")
	return want(sum, wanted)
}

// readEvents reads the events that a command prints, and tells the endpoint of each as soon as it has come.
func readEvents(s *site, id string, cmd *exec.Cmd) error {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	n := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			if data != strconv.Itoa(n) {
				_ = cmd.Wait()
				return fmt.Errorf("got event %q, want %d", data, n)
			}
			s.endpoint.Seen(id, n)
			n++
		}
	}
	if err := cmd.Wait(); err != nil {
		return err
	}
	return want(n, Events)
}

// runNghttp checks each case with an nghttp of its own.
func runNghttp(t *testing.T, s *site, w way) results {
	base := s.base(w)
	file, echoed := uploadFile(t, s)
	nghttp := func(args ...string) (string, error) {
		out, err := exec.CommandContext(bounded(t), "nghttp", args...).Output()
		return string(out), err
	}
	asked := func(wanted string, args ...string) error {
		got, err := nghttp(args...)
		if err != nil {
			return err
		}
		return want(got, wanted)
	}
	// tells asks for the whole exchange, in which a line is looked for.
	tells := func(line string, args ...string) error {
		got, err := nghttp(append([]string{"--null-out", "--verbose", "--no-dep"}, args...)...)
		if err == nil && !strings.Contains(got, line) {
			err = fmt.Errorf("got %q, want %q in it", got, line)
		}
		return err
	}
	got := results{
		"get":      asked(Hello, base+"/hello"),
		"post":     asked(fmt.Sprintf(echoed, false), "--data="+file, base+"/echo"),
		"head":     tells("content-length: 6", "-H:method: HEAD", base+"/hello"),
		"missing":  tells(":status: 404", base+"/missing"),
		"gzip":     asked(Text, base+"/gzip"),
		"trailers": tells("checked: yes", "-H", "te: trailers", base+"/trailers"),
	}
	out, err := nghttp(fmt.Sprintf("%s/large?n=%d", base, largeSize))
	if got["large"] = err; err == nil {
		sum, err := Sum(strings.NewReader(out))
		must(t, err)
		wanted, err := Sum(Noise(largeSize))
		must(t, err)
		got["large"] = want(sum, wanted)
	}
	ports, err := nghttp("--multiply=5", base+"/port")
	if got["reuse"] = err; err == nil {
		got["reuse"] = want(ports, strings.Repeat(ports[:len(ports)/5], 5))
	}
	return got
}
