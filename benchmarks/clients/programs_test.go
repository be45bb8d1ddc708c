package clients

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// parse makes results of the lines that the programs of ./programs print.
func parse(t *testing.T, out string) results {
	t.Helper()
	got := results{}
	for line := range strings.Lines(out) {
		words := strings.SplitN(strings.TrimSpace(line), " ", 3)
		switch {
		case len(words) == 2 && words[0] == "ok":
			got[words[1]] = nil
		case len(words) == 3 && words[0] == "FAIL":
			got[words[1]] = errors.New(words[2])
		default:
			t.Errorf("the program printed %q", line)
		}
	}
	return got
}

// runProgram runs one of the programs, and makes results of what it prints.
func runProgram(t *testing.T, name string, args ...string) results {
	t.Helper()
	cmd := exec.CommandContext(bounded(t), name, args...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s: %v: %s", name, err, complaints.String())
	}
	return parse(t, string(out))
}

// debianPython is the Python that Debian's packages are for; another one may stand before it in PATH.
const debianPython = "/usr/bin/python3"

func httpxMissing(*testing.T) string {
	if err := exec.Command(debianPython, "-c", "import httpx, h2").Run(); err != nil {
		return "httpx with h2"
	}
	return ""
}

func runHTTPX(t *testing.T, s *site, w way) results {
	return runProgram(t, debianPython, "programs/client.py", s.base(w), protocolOf(w), s.file("ca.pem"), runID(t))
}

func runNode(t *testing.T, s *site, w way) results {
	return runProgram(t, "node", "programs/client.mjs", s.base(w), protocolOf(w), s.file("ca.pem"), runID(t), "node")
}

func runUndici(t *testing.T, s *site, w way) results {
	modules, err := undici()
	if err != nil {
		t.Skipf("undici is not installed: %v", err)
	}
	return runProgram(t, "node", "programs/client.mjs", s.base(w), protocolOf(w), s.file("ca.pem"), runID(t), "undici", modules)
}

// undici fetches undici, at the version of programs/package-lock.json, into the user's cache, once; and returns the folder.
var undici = sync.OnceValues(func() (string, error) {
	lock, err := os.ReadFile("programs/package-lock.json")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "weir", "undici", fmt.Sprintf("%x", sha256.Sum256(lock))[:16])
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "undici", "package.json")); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	for _, f := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join("programs", f))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, f), text, 0o600); err != nil {
			return "", err
		}
	}
	if out, err := exec.Command("npm", "ci", "--prefix", dir, "--no-fund", "--no-audit").CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w: %s", err, out)
	}
	return dir, nil
})

// javaClient compiles programs/Client.java, and returns the folder of its classes.
var javaClient = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(filepath.Dir(weirProgram), "java")
	if out, err := exec.Command("javac", "-d", dir, "programs/Client.java").CombinedOutput(); err != nil {
		return "", fmt.Errorf("javac: %w: %s", err, out)
	}
	return dir, nil
})

func runJava(t *testing.T, s *site, w way) results {
	classes, err := javaClient()
	must(t, err)
	return runProgram(t, "java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classes, "Client", s.base(w), protocolOf(w), s.file("ca.pem"), runID(t))
}

// runChromium shows a page whose script does the work, and waits for what that tells.
func runChromium(t *testing.T, s *site, w way) results {
	cert, err := os.ReadFile(s.file("site.pem"))
	must(t, err)
	block, _ := pem.Decode(cert)
	leaf, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	pin := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	profile := t.TempDir()
	args := []string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-extensions", "--user-data-dir=" + profile,
		"--ignore-certificate-errors-spki-list=" + base64.StdEncoding.EncodeToString(pin[:]),
	}
	if w != tls2 {
		args = append(args, "--disable-http2")
	}
	id := runID(t)
	cmd := exec.CommandContext(bounded(t), "chromium", append(args, s.base(w)+"/page?run="+id+"&protocol="+protocolOf(w))...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	end := killGroup(cmd)
	must(t, cmd.Start())
	report, err := s.endpoint.Report(id)
	end()
	if err != nil {
		t.Errorf("%v: %s", err, complaints.String())
	}
	return parse(t, report)
}

// killGroup makes a program that starts others the head of a group, and returns what ends all of them.
func killGroup(cmd *exec.Cmd) (end func()) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return func() {
		_ = cmd.Cancel()
		_ = cmd.Wait()
	}
}
