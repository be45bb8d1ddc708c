package gateway

import (
	"context"
	"maps"
	"os"

	"github.com/weir-lb/weir/gateway/internal/config"
)

// stamp tells by which file a name stood for, without reading it.
type stamp struct {
	file os.FileInfo
	err  string
}

func stampOf(name string) stamp {
	info, err := os.Stat(name)
	if err != nil {
		return stamp{err: err.Error()}
	}
	return stamp{file: info}
}

func (s stamp) same(o stamp) bool {
	if s.file == nil || o.file == nil {
		return s.file == nil && o.file == nil && s.err == o.err
	}
	return os.SameFile(s.file, o.file) && s.file.ModTime().Equal(o.file.ModTime()) && s.file.Size() == o.file.Size()
}

// refresh takes the files of certificates and policies that have changed since they were last looked at. One that is refused, as a file
// that is written in part is, leaves what serves alone and is looked at again when it changes again.
func (g *Gateway) refresh(ctx context.Context) {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	if g.closed || ctx.Err() != nil {
		return
	}
	g.refreshCerts()
	maps.DeleteFunc(g.seen, func(name string, _ stamp) bool { return g.config.Policies[name] == nil })
	for name, pc := range g.config.Policies {
		old := g.policies[name]
		if !pc.Watch || old == nil {
			continue
		}
		seen, known := g.seen[name]
		now := stampOf(pc.Wasm)
		g.seen[name] = now
		switch was := !known || seen.file != nil; {
		case known && seen.same(now):
		case now.file != nil:
			g.refreshPolicy(ctx, old, !was)
		case was:
			g.tell(Event{Kind: kindMissing, Policy: name, Digest: old.digest, Detail: now.err + ": what serves serves on"})
		}
	}
}

// refreshPolicy takes the file of a policy if its content is another than that which was last taken. Of a file that was
// missing and is back it tells in any case.
func (g *Gateway) refreshPolicy(ctx context.Context, old *policy, back bool) {
	next, mistake := g.loadPolicy(ctx, g.config, old.name)
	switch {
	case mistake == nil && next != old:
		g.replace(old, next, kindSwapped)
	case mistake == nil && back:
		g.tell(Event{Kind: kindLoaded, Policy: old.name, Digest: old.digest, Detail: fromFile + ", which is back as it was"})
	case mistake == nil, next != nil && next.key == old.key && !back: // nothing new
	case next == nil:
		g.tell(Event{Kind: kindRefused, Policy: old.name, Detail: mistake.Error()})
	default:
		g.tell(Event{Kind: kindRefused, Policy: old.name, Digest: next.digest, Detail: next.err.Error()})
	}
}

// watched lists the files whose changes are taken as they happen.
func watched(cfg *config.Config) []string {
	files := tlsSpec(cfg).Files()
	for _, pc := range cfg.Policies {
		if pc.Watch {
			files = append(files, pc.Wasm)
		}
	}
	return files
}
