package gateway

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
)

// How soon a changed file is looked at.
const (
	watchQuiet  = 100 * time.Millisecond // without a further event, so that a file that is being written is left alone
	watchAtMost = 2 * time.Second        // from the first event, if they do not end
	watchPoll   = 10 * time.Second       // without any event: some file systems send none, and a folder may come back
)

// watcher calls changed whenever one of some files may have changed. What it watches are the folders: of the file, of
// every symbolic link on the way to it, and the one that its folder is in. So it sees a rename over the file, a file
// that is deleted and written again, and a link that is swapped, as Kubernetes does with ..data.
type watcher struct {
	log     *slog.Logger
	changed func(context.Context)
	wanted  atomic.Pointer[[]string] // absolute names
	wake    chan struct{}            // wanted is new

	stop context.CancelFunc
	done chan struct{}
}

// newWatcher starts a watcher of nothing. Close stops it.
func newWatcher(log *slog.Logger, changed func(context.Context)) *watcher {
	ctx, stop := context.WithCancel(context.Background())
	w := &watcher{log: log, changed: changed, wake: make(chan struct{}, 1), stop: stop, done: make(chan struct{})}
	w.wanted.Store(new([]string))
	go w.run(ctx)
	return w
}

// watch names the files to watch instead of those before, and has them looked at. It does not wait.
func (w *watcher) watch(files []string) {
	w.wanted.Store(&files)
	select {
	case w.wake <- struct{}{}:
	default: // it will find these
	}
}

func (w *watcher) close() {
	w.stop()
	<-w.done
}

func (w *watcher) run(ctx context.Context) {
	defer close(w.done)
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		w.log.Warn("files are looked at every so often, since their changes cannot be watched", "every", watchPoll, "err", err)
		fs = &fsnotify.Watcher{} // whose channels are nil
	} else {
		defer fs.Close()
	}
	poll := time.NewTicker(watchPoll)
	defer poll.Stop()
	quiet := time.NewTimer(time.Hour)
	defer quiet.Stop()
	var names map[string]bool
	var first time.Time // of the events that were not acted on yet; zero if there are none
	for {
		select {
		case e := <-fs.Events:
			if e.Op == fsnotify.Chmod || !names[e.Name] {
				continue
			}
			if first.IsZero() {
				first = time.Now()
			}
			quiet.Reset(min(watchQuiet, max(time.Until(first.Add(watchAtMost)), 0)))
			continue
		case <-w.wake:
		case <-fs.Errors: // events were lost
		case <-quiet.C:
		case <-poll.C:
		case <-ctx.Done():
			return
		}
		first = time.Time{}
		names = w.follow(fs, err == nil) // links may lead elsewhere now
		w.changed(ctx)
	}
}

// follow watches the folders that matter, and no others, and returns the names in them that do.
func (w *watcher) follow(fs *fsnotify.Watcher, can bool) map[string]bool {
	names, folders := map[string]bool{}, map[string]bool{}
	for _, f := range *w.wanted.Load() {
		for _, name := range onTheWay(f) {
			names[name] = true
			folders[filepath.Dir(name)] = true
		}
	}
	if !can {
		return names
	}
	for _, had := range fs.WatchList() {
		if !folders[had] {
			_ = fs.Remove(had)
		}
	}
	for f := range folders {
		_ = fs.Add(f) // one that is not there is tried again with the next poll
	}
	return names
}

// maxLinks bounds the symbolic links on the way to a file, as kernels do.
const maxLinks = 40

// onTheWay returns the absolute name of a file and of what its meaning hangs on: its folder, and all symbolic links
// that lead to it with their targets in turn.
func onTheWay(file string) []string {
	var names []string
	for range maxLinks {
		names = append(names, file, filepath.Dir(file))
		link := firstLink(file)
		if link == "" {
			break
		}
		to, err := os.Readlink(link)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(link), to)
		}
		names = append(names, link)
		file = filepath.Join(to, strings.TrimPrefix(file, link))
	}
	return names
}

// firstLink returns the shortest beginning of an absolute name that is a symbolic link, "" if none is.
func firstLink(name string) string {
	for i := 1; i <= len(name); i++ {
		if i < len(name) && name[i] != filepath.Separator {
			continue
		}
		if info, err := os.Lstat(name[:i]); err != nil {
			return ""
		} else if info.Mode()&os.ModeSymlink != 0 {
			return name[:i]
		}
	}
	return ""
}
