package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/weir-lb/weir/gateway/internal/certs"
	"github.com/weir-lb/weir/gateway/internal/config"
)

// alpn are the protocols that listeners with TLS offer.
var alpn = []string{"h2", "http/1.1"}

// tlsSpec is what cfg says about TLS. What it leaves out, which is told as a mistake, is left out here too.
func tlsSpec(cfg *config.Config) certs.Spec {
	spec := certs.Spec{Listeners: map[string]certs.ListenerSpec{}, Clusters: map[string]certs.ClusterSpec{}}
	for i, l := range cfg.Listeners {
		if l.TLS == nil {
			continue
		}
		path := fmt.Sprintf("listeners[%d].tls", i)
		ls := certs.ListenerSpec{
			Path: path, ClientCA: l.TLS.ClientCA, Optional: l.TLS.ClientAuth == "optional", MinVersion: config.Version(l.TLS.MinVersion), Ciphers: l.TLS.Ciphers, ALPN: alpn,
		}
		for k, p := range l.TLS.Certificates {
			if p.Cert != "" && p.Key != "" {
				ls.Pairs = append(ls.Pairs, certs.Pair{Path: fmt.Sprintf("%s.certificates[%d]", path, k), Cert: p.Cert, Key: p.Key})
			}
		}
		spec.Listeners[l.Name] = ls
	}
	for name, cc := range cfg.Clusters {
		if cc.TLS == nil {
			continue
		}
		path := config.Child("clusters", name) + ".tls"
		cs := certs.ClusterSpec{Path: path, CA: cc.TLS.CA, ServerName: cc.TLS.ServerName, MinVersion: config.Version(cc.TLS.MinVersion)}
		if p := cc.TLS.Certificate; p != nil && p.Cert != "" && p.Key != "" {
			cs.Pair = certs.Pair{Path: path + ".certificate", Cert: p.Cert, Key: p.Key}
		}
		spec.Clusters[name] = cs
	}
	return spec
}

// prepareCerts reads the certificates that cfg names and that do not serve yet. At the start one that has expired, or is
// not valid yet, is served: refusing it would make a restart worse than none.
func (g *Gateway) prepareCerts(cfg *config.Config, ch *change, first bool) (errs config.Errors) {
	var problems []*certs.Problem
	ch.certs, problems = g.certs.Prepare(tlsSpec(cfg))
	for _, p := range problems {
		mistake := cfg.Error(p.Path, p.Got, p.Want)
		switch {
		case p.Grade == certs.Warning:
			ch.doubts = append(ch.doubts, doubt{slog.LevelWarn, mistake})
		case p.Grade == certs.Untimely && first && !g.options.Strict:
			ch.doubts = append(ch.doubts, doubt{slog.LevelError, mistake})
		default:
			errs = append(errs, mistake)
		}
	}
	return errs
}

// doubt is about a certificate that serves nevertheless.
type doubt struct {
	level slog.Level
	about *config.Error
}

// checkCerts reads the certificates that cfg names as weir check does, which takes none that has expired.
func (g *Gateway) checkCerts(cfg *config.Config) (mistakes, warnings config.Errors) {
	_, problems := g.certs.Prepare(tlsSpec(cfg))
	for _, p := range problems {
		if e := cfg.Error(p.Path, p.Got, p.Want); p.Grade == certs.Warning {
			warnings = append(warnings, e)
		} else {
			mistakes = append(mistakes, e)
		}
	}
	warnings.Sort()
	return mistakes, warnings
}

// addCertMistakes adds what is wrong with certificates to the mistakes of a configuration that has others.
func (g *Gateway) addCertMistakes(cfg *config.Config, errs config.Errors) config.Errors {
	more, _ := g.checkCerts(cfg)
	for _, e := range more {
		if !slices.ContainsFunc(errs, func(o *config.Error) bool { return o.Path == e.Path }) {
			errs = append(errs, e)
		}
	}
	return errs
}

// commitCerts makes the certificates of ch serve.
func (g *Gateway) commitCerts(ch *change) {
	for _, d := range ch.doubts {
		g.log.Log(context.Background(), d.level, "certificate needs a look: it serves nevertheless", "err", d.about)
	}
	g.tellCerts(g.certs.Commit(ch.certs))
}

// refreshCerts takes the files of certificates that have changed.
func (g *Gateway) refreshCerts() { g.tellCerts(g.certs.Refresh()) }

// tellCerts logs what happened to certificates, and adds it to the events.
func (g *Gateway) tellCerts(news []certs.News) {
	for _, n := range news {
		level, what, detail := slog.LevelInfo, "taken", "serves until "+n.Until.UTC().Format(time.RFC3339)
		if n.Problem != nil {
			detail = g.config.Error(n.Problem.Path, n.Problem.Got, n.Problem.Want).Error()
		}
		switch n.Kind {
		case certs.Refused:
			level, what = slog.LevelError, "refused"
			detail += ": what serves serves on, until " + n.Until.UTC().Format(time.RFC3339)
		case certs.Back:
			what = "back as it was"
		case certs.Remind:
			level, what = slog.LevelWarn, string(n.State)
			if n.State != certs.Expiring {
				level = slog.LevelError
			}
		case certs.Look:
			level, what = slog.LevelWarn, "needs a look"
		}
		g.log.Log(context.Background(), level, "certificate "+what, n.Side, n.Of, "part", n.Part, "name", n.Title, "detail", detail)
		v := Event{Kind: kindCertificate, Listener: n.Of, Detail: n.Part + " " + n.Title + " " + what + ": " + detail}
		if n.Side == "cluster" {
			v.Listener, v.Cluster = "", n.Of
		}
		g.events.add(v)
	}
}

// CertificateReadiness is a certificate that needs a look.
type CertificateReadiness struct {
	Listener string     `json:"listener,omitempty"`
	Cluster  string     `json:"cluster,omitempty"`
	Part     string     `json:"part"` // certificate, ca
	Name     string     `json:"name"` // the first that it is for
	Expires  time.Time  `json:"expires"`
	Error    string     `json:"error"` // expiring, expired, not yet valid, or that its files are refused
	Since    *time.Time `json:"since,omitempty"`
}

// doubtful returns the certificates that need a look.
func (g *Gateway) doubtful() (all []CertificateReadiness) {
	for _, s := range g.certs.Status() {
		c := CertificateReadiness{Listener: s.Of, Part: s.Part, Name: s.Title, Expires: s.NotAfter}
		if s.Side == "cluster" {
			c.Listener, c.Cluster = "", s.Of
		}
		switch {
		case s.Refused != "":
			c.Error, c.Since = "its files are refused, what they held before serves: see /api/v1/certificates", &s.RefusedSince
		case s.State != certs.Valid:
			c.Error = string(s.State)
		default:
			continue
		}
		all = append(all, c)
	}
	return all
}

func (g *Gateway) getCertificates(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"certificates": g.certs.Status()})
}
