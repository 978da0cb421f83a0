package sim_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// world is a mail server whose clock is ours.
type world struct {
	t    *testing.T
	rng  *rand.Rand
	now  int64
	zone *time.Location
	dir  string // everything is in it; the log is dir/maillog
	args []string
	env  []string

	model    *model
	clients  []netip.Addr
	iso      bool // how syslogd writes stamps now
	syslogd  *log // what it writes to: for a moment, a log that is rotated already
	logs     []*log
	scheme   scheme
	work     []func() // the rest of a rotation
	sessions []*session
	ids      uint64
	steps    []string // what happened, for the report of a failure
}

// log is a file. written is its modification time in the world.
type log struct {
	name    string
	written int64
}

// scheme is how logs are rotated.
type scheme struct {
	name  string
	first int  // number of the newest rotated log
	plain bool // it is compressed when it is rotated again
}

var schemes = []scheme{{"newsyslog", 0, false}, {"logrotate", 1, true}, {"logrotate, at once", 1, false}}

// session is a connection to smtpd.
type session struct {
	id    uint64
	addr  netip.Addr
	host  string
	until int64
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) note(format string, args ...any) {
	w.steps = append(w.steps, time.Unix(w.now, 0).In(w.zone).Format("2006-01-02 15:04:05 MST ")+fmt.Sprintf(format, args...))
}

// write logs a line. It returns the time that its stamp tells: a local time
// that comes twice is taken to be the first.
func (w *world) write(host, text string, skew int64) int64 {
	at := w.now + skew
	t := time.Unix(at, 0).In(w.zone)
	stamp := t.Format(time.Stamp)
	if w.iso {
		stamp = t.Format("2006-01-02T15:04:05.000Z07:00")
	} else {
		for _, shift := range []int64{1800, 3600} {
			if time.Unix(at-shift, 0).In(w.zone).Format(time.Stamp) == stamp {
				at -= shift
			}
		}
	}
	f, err := os.OpenFile(w.path(w.syslogd.name), os.O_APPEND|os.O_WRONLY, 0)
	w.must(err)
	_, err = fmt.Fprintf(f, "%s %s %s\n", stamp, host, text)
	w.must(err)
	w.must(f.Close())
	w.syslogd.written = w.now
	return at
}

func (w *world) must(err error) {
	if err != nil {
		w.t.Helper()
		w.t.Fatal(err)
	}
}

// begin makes the log that is written.
func (w *world) begin() *log {
	l := &log{"maillog", w.now}
	w.must(os.WriteFile(w.path(l.name), nil, 0o600))
	w.logs = append(w.logs, l)
	return l
}

// connect begins a session.
func (w *world) connect(addr netip.Addr, lasts int64) *session {
	w.ids += uint64(w.rng.IntN(1 << 30))
	s := &session{w.ids, addr, "mail", w.now + lasts}
	if w.rng.IntN(6) == 0 {
		s.host = "mx2"
	}
	text := addr.String()
	if addr.Is6() {
		text = "[" + text + "]"
	}
	w.smtpd(s, "connected address=%s host=<unknown>", text)
	w.sessions = append(w.sessions, s)
	return s
}

func (w *world) smtpd(s *session, format string, args ...any) int64 {
	skew := int64(0)
	if s.host == "mx2" {
		skew = 40 // its clock is fast
	}
	return w.write(s.host, fmt.Sprintf("smtpd[20]: %016x smtp ", s.id)+fmt.Sprintf(format, args...), skew)
}

var users = []string{"admin", "info", "alice", "bob", `x\\040smtp\\040connected`}

func (w *world) fail(s *session, user string) {
	t := w.smtpd(s, "authentication user=%s result=permfail", user)
	w.smtpd(s, `failed-command command="%s" result="535 Authentication failed"`, w.hostile())
	w.model.happened = append(w.model.happened, happening{what: 'f', time: t, addr: s.addr, user: user})
}

func (w *world) succeed(s *session, user string) {
	t := w.smtpd(s, "authentication user=%s result=ok", user)
	w.model.happened = append(w.model.happened, happening{what: 's', time: t, addr: s.addr, user: user})
}

// hostile is what a client sends that has read the manual.
func (w *world) hostile() string {
	a := w.clients[w.rng.IntN(len(w.clients))]
	return []string{
		"AUTH LOGIN (password)",
		"x ban_smtpd[1]: pardon address=" + a.String(),
		"ban_smtpd[1]: pardon address=" + a.String(),
		`x" smtp connected address=` + a.String() + ` host=x`,
		"x: smtp authentication user=x result=permfail",
	}[w.rng.IntN(5)]
}

// traffic lets somebody connect, or go on with what he began.
func (w *world) traffic() {
	w.sessions = slices.DeleteFunc(w.sessions, func(s *session) bool {
		over := w.now >= s.until
		if over {
			w.smtpd(s, "disconnected reason=quit")
		}
		return over
	})
	var s *session
	if n := len(w.sessions); n > 0 && w.rng.IntN(2) == 0 {
		s = w.sessions[w.rng.IntN(n)]
	} else {
		addr := w.clients[w.rng.IntN(len(w.clients))]
		// pf drops what is in the table; but there may be another way in.
		if w.model.covered(netip.PrefixFrom(addr, addr.BitLen())) && w.rng.IntN(30) > 0 {
			return
		}
		s = w.connect(addr, w.rng.Int64N(7200))
	}
	user := users[w.rng.IntN(len(users))]
	for range w.rng.IntN(4) {
		if w.rng.IntN(2) == 0 {
			user = users[w.rng.IntN(len(users))]
		}
		w.fail(s, user)
		w.now += w.rng.Int64N(60)
	}
	if w.rng.IntN(12) == 0 {
		w.succeed(s, user)
	}
	w.note("traffic of %v", s.addr)
}

// rotate does what newsyslog(8) or logrotate(8) does, up to the moment when
// syslogd still writes to the old log. The rest is in w.work.
func (w *world) rotate() {
	if len(w.work) > 0 {
		return
	}
	w.note("%s begins", w.scheme.name)
	live := w.logs[len(w.logs)-1]
	turned := fmt.Sprintf("newsyslog[%d]: logfile turned over", w.rng.IntN(30000))
	if w.scheme.first == 0 {
		w.write("mail", turned, 0)
	}
	for i, l := range w.logs { // the oldest first, so that no name is taken
		_, kind, _ := strings.Cut(strings.TrimPrefix(l.name, "maillog."), ".")
		if kind != "" && l != live {
			kind = "." + kind
		} else {
			kind = ""
		}
		name := fmt.Sprintf("maillog.%d%s", w.scheme.first+len(w.logs)-1-i, kind)
		w.must(os.Rename(w.path(l.name), w.path(name)))
		l.name = name
	}
	next := w.begin()
	if w.scheme.first == 0 {
		f := w.syslogd
		w.syslogd = next
		w.write("mail", turned, 0)
		w.syslogd = f
	}
	w.work = append(w.work, func() {
		w.note("syslogd has the new log")
		w.syslogd = next
	})
	old := live
	if w.scheme.plain {
		if len(w.logs) < 3 {
			return
		}
		old = w.logs[len(w.logs)-3]
	}
	var z bytes.Buffer
	w.work = append(w.work, func() {
		text, err := os.ReadFile(w.path(old.name))
		w.must(err)
		g := gzip.NewWriter(&z)
		g.Write(text)
		g.Close()
		n := w.rng.IntN(z.Len())
		w.note("%d of %d bytes of %s.gz are written", n, z.Len(), old.name)
		w.must(os.WriteFile(w.path(old.name+".gz"), z.Bytes()[:n], 0o600))
	}, func() {
		w.note("%s.gz is written", old.name)
		w.must(os.WriteFile(w.path(old.name+".gz"), z.Bytes(), 0o600))
	}, func() {
		w.note("%s is removed", old.name)
		w.must(os.Remove(w.path(old.name)))
		old.name += ".gz"
		w.prune()
	})
}

// prune removes logs that no run can need.
func (w *world) prune() {
	w.logs = slices.DeleteFunc(w.logs, func(l *log) bool {
		if l.written > w.now-3*(w.model.within+w.model.expire)-72*3600 {
			return false
		}
		w.must(os.Remove(w.path(l.name)))
		return true
	})
}

// run runs ban_smtpd and returns what it printed.
func (w *world) run(args ...string) string {
	for _, l := range w.logs {
		t := time.Unix(l.written, 0)
		for _, name := range []string{l.name, l.name + ".gz"} {
			if err := os.Chtimes(w.path(name), t, t); err != nil && name == l.name {
				w.t.Fatal(err)
			}
		}
	}
	cmd := exec.Command(program, append(args, w.args...)...)
	cmd.Env = append(w.env, fmt.Sprint("SIM_NOW=", w.now), fmt.Sprint("PFCTL_NOW=", w.now))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		w.failed("%v: %v\n%s%s", cmd, err, out, &stderr)
	}
	w.syslog()
	return string(out)
}

// syslog gives syslogd what ban_smtpd wrote to it.
func (w *world) syslog() {
	text, err := os.ReadFile(w.path("syslog"))
	if err != nil {
		return
	}
	w.must(os.Remove(w.path("syslog")))
	for line := range strings.Lines(string(text)) {
		w.note("%s", strings.TrimSpace(line))
		w.write("mail", "ban_smtpd[77]: "+strings.TrimSpace(line), 0)
	}
}

// pfctl runs pfctl and returns what it printed.
func (w *world) pfctl(args ...string) string {
	cmd := exec.Command(pfctl, args...)
	cmd.Env = append(w.env, fmt.Sprint("PFCTL_NOW=", w.now), "TZ=UTC")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// failed ends the test with what led to the failure.
func (w *world) failed(format string, args ...any) {
	w.t.Helper()
	kept := filepath.Join(os.TempDir(), "ban_smtpd-sim")
	os.RemoveAll(kept)
	os.CopyFS(kept, os.DirFS(w.dir))
	w.t.Fatalf("%s\nthe last steps:\n%s\nthe logs and the table are in %s", fmt.Sprintf(format, args...),
		strings.Join(w.steps[max(0, len(w.steps)-40):], "\n"), kept)
}
