package chaos

import (
	"fmt"
	"time"
)

// inevitable are the faults that GETs may be lost to: what a client has of a response cannot be taken back.
var inevitable = map[string]bool{"reset in body": true}

// What Weir promises of time: how soon traffic sees a SIGKILL, and how long an endpoint that hangs may stay in.
const (
	seenWithin = 5 * time.Millisecond
	outWithin  = time.Second
)

// Broken says which of its promises Weir has not kept in a run: no GET lost that could be saved, no POST executed twice.
func (r *Result) Broken() (promises []string) {
	say := func(format string, args ...any) {
		promises = append(promises, r.Fault+": "+fmt.Sprintf(format, args...))
	}
	if r.Get.Failed > 0 && !inevitable[r.Fault] {
		say("%d of %d GETs failed: %v", r.Get.Failed, r.Get.Requests, r.Get.Why)
	}
	if r.Post.Twice > 0 {
		say("%d of %d POSTs were executed twice", r.Post.Twice, r.Post.Requests)
	}
	return promises
}

// TooLate says which of its promises of time Weir has not kept in a run. They are for a machine that has nothing else to do.
func (r *Result) TooLate() (promises []string) {
	say := func(format string, args ...any) {
		promises = append(promises, r.Fault+": "+fmt.Sprintf(format, args...))
	}
	if r.Fault == "SIGKILL" && (r.Seen == nil || *r.Seen > seenWithin) {
		say("seen by traffic after %s ms, want %s", millis(r.Seen), seenWithin)
	}
	if r.Fault == "SIGSTOP" && (r.Detected == nil || *r.Detected > outWithin) {
		say("out after %s ms, want %s", millis(r.Detected), outWithin)
	}
	return promises
}
