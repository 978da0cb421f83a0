// Ban_smtpd reads the mail log, finds the clients that failed to log in too
// often, and keeps them in a pf table. It is run by cron(8); ban_smtpd(8) is
// its manual.
//
// What it prints: changes and plans on standard output, and only when asked.
// Everything else is one line on standard error that begins with the name of
// the program and says what the admin has to do; then the exit status is 1.
// Text from a log is printed through %q or a logfmt encoder, never as it is.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/syslog"
	"math"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
	"github.com/go-logfmt/logfmt"

	"ban_smtpd/ignore"
	"ban_smtpd/parse"
	"ban_smtpd/parse/count"
	"ban_smtpd/parse/logfile"
	"ban_smtpd/pftable"
)

const (
	name       = "ban_smtpd"
	ignoreFile = "/etc/mail/ignore.txt"
	usage      = `usage: ban_smtpd [-nvV] [-c class,...] [-e expire] [-i file] [-o text|list|logfmt] [-p address] [-t table] [-T tries] [-w within] [--prefix4 n] [--prefix6 n] [--at time] [--pfctl path] [log ...]`
)

type options struct {
	DryRun  bool     `short:"n" help:"Print what would be done and why; change nothing."`
	Verbose bool     `short:"v" help:"Say what was changed."`
	Version bool     `short:"V" help:"Print the version."`
	Count   classes  `short:"c" default:"auth" placeholder:"class,..." help:"What counts as a failure: auth, abort, harvest, scan (${default})."`
	Expire  duration `short:"e" default:"5d" placeholder:"time" help:"How long a ban lasts (${default})."`
	Ignore  []string `short:"i" sep:"none" placeholder:"file" help:"Addresses never to ban (/etc/mail/ignore.txt)."`
	Output  string   `short:"o" default:"text" enum:"text,list,logfmt" placeholder:"format" help:"How to print: text, list or logfmt (${default})."`
	Pardon  []prefix `short:"p" sep:"none" placeholder:"address" help:"Let this address or prefix in again, and do nothing else."`
	Table   string   `short:"t" default:"bot" placeholder:"table" help:"The pf table (${default})."`
	Tries   int      `short:"T" default:"10" placeholder:"n" help:"Ban with more than this many failures (${default}) ..."`
	Within  duration `short:"w" default:"1d" placeholder:"time" help:"... in a window of this length (${default}); 0: in all of the named logs."`
	Prefix4 int      `name:"prefix4" default:"32" placeholder:"n" help:"Length of the IPv4 prefix that is one client (${default})."`
	Prefix6 int      `name:"prefix6" default:"64" placeholder:"n" help:"Length of the IPv6 prefix that is one client (${default})."`
	At      moment   `placeholder:"time" help:"Judge as of this time; only with -n."`
	Pfctl   string   `default:"/sbin/pfctl" placeholder:"path" help:"The pfctl to run (${default})."`
	Logs    []string `arg:"" optional:"" name:"log" default:"/var/log/maillog" help:"Logs to read (${default}); - is standard input."`
}

// Validate is called by kong with all options set.
func (o *options) Validate() error {
	switch {
	case o.Expire <= 0:
		return errors.New("-e: a ban has to last a second at least")
	case o.Table == "" || len(o.Table) > 31:
		return errors.New("-t: the name of a table has 1 to 31 bytes")
	case o.Tries < 0:
		return errors.New("-T: less than 0")
	case o.Prefix4 < 16 || o.Prefix4 > 32:
		return errors.New("--prefix4: not between 16 and 32")
	case o.Prefix6 < 32 || o.Prefix6 > 128:
		return errors.New("--prefix6: not between 32 and 128")
	case o.Pfctl == "":
		return errors.New("--pfctl: empty")
	case !o.At.IsZero() && (!o.DryRun || len(o.Pardon) > 0):
		return errors.New("--at: only with -n")
	}
	return nil
}

// duration is a time span such as 90, 30m or 1d12h; a bare number is seconds.
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	units := map[byte]int64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 7 * 86400}
	const most = 1<<32 - 1 // what pfctl -T expire takes, in seconds
	var sum int64
	for rest := string(text); ; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseUint(rest[:digits], 10, 32)
		if err != nil {
			return fmt.Errorf("not a duration such as 30m or 1d12h: %q", text)
		}
		if digits == len(rest) && digits == len(text) { // a bare number
			sum, rest = int64(n), ""
		} else if unit := units[(rest + "?")[digits]]; unit != 0 {
			sum, rest = sum+int64(n)*unit, rest[digits+1:]
		} else {
			return fmt.Errorf("not a duration such as 30m or 1d12h: %q", text)
		}
		if sum > most {
			return fmt.Errorf("too long: %q", text)
		}
		if rest == "" {
			*d = duration(sum) * duration(time.Second)
			return nil
		}
	}
}

// String prints it as it is written: 1d12h.
func (d duration) String() string {
	left, text := int64(time.Duration(d)/time.Second), ""
	for _, u := range []struct {
		name    string
		seconds int64
	}{{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}} {
		if n := left / u.seconds; n > 0 {
			text += strconv.FormatInt(n, 10) + u.name
		}
		left %= u.seconds
	}
	if text == "" {
		return "0"
	}
	return text
}

// classes are what counts, such as auth,abort.
type classes struct{ parse.Classes }

func (c *classes) UnmarshalText(text []byte) error {
	c.Classes = parse.Classes{}
	for name := range strings.SplitSeq(string(text), ",") {
		i := slices.Index(parse.ClassNames[:], name)
		if i < 0 {
			return fmt.Errorf("not one of %s: %q", strings.Join(parse.ClassNames[:], ", "), name)
		}
		c.Classes[i] = true
	}
	return nil
}

// moment is a point in time, RFC 3339 or local.
type moment struct{ time.Time }

func (m *moment) UnmarshalText(text []byte) (err error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04"} {
		if m.Time, err = time.ParseInLocation(layout, string(text), time.Local); err == nil {
			return nil
		}
	}
	return fmt.Errorf("not a time such as 2026-11-20 03:00 or 2026-11-20T03:00:00Z: %q", text)
}

// prefix is an address or a prefix.
type prefix struct{ netip.Prefix }

func (p *prefix) UnmarshalText(text []byte) error {
	a, err := netip.ParseAddr(string(text))
	if err == nil {
		a = a.Unmap()
		p.Prefix = netip.PrefixFrom(a, a.BitLen())
	} else {
		p.Prefix, err = netip.ParsePrefix(string(text))
		p.Prefix = p.Masked()
	}
	if err != nil || a.Zone() != "" {
		return fmt.Errorf("not an address or a prefix: %q", text)
	}
	return nil
}

func main() {
	os.Exit(run(os.Args[1:], system{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		now: time.Now(), lookup: lookup, syslog: dialSyslog,
	}))
}

// system is all that a run takes from the machine, but files and pfctl.
type system struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	now            time.Time
	lookup         ignore.Lookup
	syslog         func() func(line string) error
}

// lookup asks DNS for a name that stands in the ignore list, and no other.
func lookup(host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// dialSyslog returns what writes a line to syslogd(8).
func dialSyslog() func(string) error {
	w, err := syslog.New(syslog.LOG_MAIL|syslog.LOG_INFO, name)
	if err != nil {
		return func(string) error { return err }
	}
	return w.Info
}

// run parses the command line and returns the exit status.
func run(args []string, sys system) int {
	var o options
	var helped bool
	parser := kong.Must(&o, kong.Name(name), kong.Writers(sys.stdout, sys.stderr),
		kong.Exit(func(int) { helped = true }))
	_, err := parser.Parse(args)
	switch {
	case helped:
		return 0
	case err != nil:
		fmt.Fprintf(sys.stderr, "%s: %v\n%s\n", name, err, usage)
		return 1
	case o.Version:
		fmt.Fprintln(sys.stdout, name, version())
		return 0
	}
	j := job{options: &o, system: sys, stdout: bufio.NewWriter(sys.stdout), clock: sys.now}
	defer j.stdout.Flush()
	if !o.At.IsZero() {
		j.now = o.At.Time
	}
	if len(o.Pardon) > 0 {
		j.pardon()
	} else {
		j.run()
	}
	return j.status
}

// version is that of the module, or of the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}

// job is one run.
type job struct {
	*options
	system
	stdout *bufio.Writer
	clock  time.Time // now is that of --at
	status int       // exit status
	fault  string    // the last that was told
}

// warn prints what the admin has to know, and makes the run a failed one. What
// fails twice for one reason is told once.
func (j *job) warn(err error) {
	j.status = 1
	if text := err.Error(); text != j.fault {
		j.stdout.Flush() // what was said before comes first
		fmt.Fprintf(j.stderr, "%s: %s\n", name, text)
		j.fault = text
	}
}

// note prints what a reader of the dry run has to know.
func (j *job) note(format string, args ...any) {
	j.stdout.Flush()
	fmt.Fprintf(j.stderr, name+": "+format+"\n", args...)
}

// run is the whole of it, from the log to the table.
func (j *job) run() {
	ignored, err := j.ignored()
	if err != nil {
		j.warn(err)
		return
	}

	// All that comes from outside is opened or loaded by now; what follows
	// reads what strangers wrote.
	report := func(string) error { return nil }
	if !j.DryRun {
		report = j.syslog()
	}
	if err := pftable.Sandbox(j.Pfctl, j.Logs); err != nil {
		j.warn(err)
		return
	}

	table := &pftable.Table{Pfctl: j.Pfctl, Name: j.Table}
	entries, err := table.Show()
	switch {
	case errors.Is(err, pftable.ErrNoTable) && !j.DryRun:
		// An add makes it, and Check says what pf.conf lacks.
	case err != nil && j.DryRun:
		j.note("%v; taking the table as empty", err)
	case err != nil:
		j.warn(err)
		return
	}

	counted, read := j.count(ignored, j.back(entries))
	if read.Files == 0 {
		return // the reason is printed, and a guess is worse than no change
	}
	for _, e := range entries {
		if j.Within > 0 && e.Expired(time.Duration(j.Expire), j.now) {
			counted.Release(e.Prefix) // as the line will say that tells of it
		}
	}
	banned := counted.Banned()
	slices.SortFunc(banned, pftable.Compare)
	var plan []pftable.Change
	if !j.DryRun || j.Output != "list" {
		plan = pftable.Plan(entries, banned, ignored.Overlaps, time.Duration(j.Expire), j.now)
	}
	if !j.DryRun {
		plan = j.apply(table, plan, counted, report)
	}
	switch {
	case j.Output == "list" && (j.DryRun || j.Verbose):
		for _, p := range banned {
			j.stdout.WriteString(pftable.Text(p) + "\n")
		}
	case j.DryRun || j.Verbose:
		j.print(plan, counted)
	}
	if j.DryRun && j.Output == "text" {
		fmt.Fprintf(j.stdout, "%s, %s, %s, %s\n", many(read.Files, "file"), many(read.Lines, "line"),
			many(counted.Totals.Failures, "failure"), many(counted.Totals.Clients, "address"))
		if n := counted.Totals.Nameless; n > 0 {
			fmt.Fprintf(j.stdout, "%s of a session that began before the log, or long ago\n", many(n, "failure"))
		}
	}
	j.judge(counted.Totals)
	if !j.DryRun {
		if err := table.Check(); err != nil {
			j.warn(err)
		}
	}
}

// drift is by how much the stamps of a log may lie before the time at which
// their lines were judged: a clock that was set back, the hour that comes twice
// in autumn, what was logged while a run read.
const drift = 3 * time.Hour

// back says how far back the logs have to be read; zero is for no rotated logs.
//
// The run that made the newest entry of the table judged all that the log had
// then, and added what was due. So only a ban that became due later can be
// missing, and of its failures the first may lie before that by the window. An
// empty table, as after a reboot, misses all that are in force.
//
// A ban that is shorter than the window may be over and its failures still lie
// in one; they are not counted again if they are seen to have led to it.
func (j *job) back(entries []pftable.Entry) time.Time {
	if j.Within == 0 {
		return time.Time{}
	}
	judged := j.now.Add(-time.Duration(j.Expire))
	for _, e := range entries {
		if e.Since.After(judged) && !e.Since.After(j.now) {
			judged = e.Since
		}
	}
	if window := j.now.Add(-time.Duration(j.Within)); j.Expire < j.Within && judged.After(window) {
		judged = window
	}
	return judged.Add(-time.Duration(j.Within))
}

// pardon takes addresses out of the table, and writes to the log that what
// they did before is to be forgotten.
func (j *job) pardon() {
	write := j.syslog()
	if err := pftable.Sandbox(j.Pfctl, nil); err != nil {
		j.warn(err)
		return
	}
	table := &pftable.Table{Pfctl: j.Pfctl, Name: j.Table}
	entries, err := table.Show()
	if err != nil && !errors.Is(err, pftable.ErrNoTable) {
		j.warn(err)
	}
	for _, p := range j.Pardon {
		var held []netip.Prefix
		for _, e := range entries {
			if !e.Negated && e.Prefix.Overlaps(p.Prefix) {
				held = append(held, e.Prefix)
			}
		}
		what := "not in table <" + j.Table + ">"
		if len(held) > 0 {
			what = "deleted from table <" + j.Table + ">"
			if j.DryRun {
				what = "would be " + what
			}
			for _, h := range held {
				if h != p.Prefix {
					what += " " + pftable.Text(h)
				}
			}
		}
		if !j.DryRun {
			if _, err := table.Delete(held); err != nil {
				j.warn(err)
				what = "not deleted"
			}
			if err := write("pardon address=" + pftable.Text(p.Prefix)); err != nil {
				j.warn(fmt.Errorf("%s is not pardoned, the next run may add it again: %w", pftable.Text(p.Prefix), err))
			}
		}
		fmt.Fprintf(j.stdout, "pardon %s: %s\n", pftable.Text(p.Prefix), what)
	}
}

// ignored loads the ignore list.
func (j *job) ignored() (*ignore.List, error) {
	list := ignore.New()
	if err := list.AddHost(); err != nil {
		return nil, err
	}
	files := j.Ignore
	if files == nil {
		files = []string{ignoreFile}
	}
	for _, file := range files {
		unresolved, err := list.ReadFile(file, j.lookup)
		if j.Ignore == nil && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, err := range unresolved {
			j.warn(err)
		}
	}
	return list, nil
}

// read says how much was read.
type read struct {
	Files int
	logfile.Totals
}

// count reads the logs, back to a time, and counts the failures in them.
func (j *job) count(ignored *ignore.List, back time.Time) (*count.Counter, read) {
	counter := count.New(count.Rules{
		Tries: j.Tries, Within: time.Duration(j.Within), Expire: time.Duration(j.Expire),
		Prefix4: j.Prefix4, Prefix6: j.Prefix6, Classes: j.Count.Classes,
		Now: j.now, Ended: !j.At.IsZero(),
		Ignored: ignored.Contains, Overlaps: ignored.Overlaps,
	})
	parser := func(f *logfile.File) *parse.Parser {
		written := j.now
		if !f.Modified.IsZero() && f.Modified.Before(written) && !j.now.After(j.clock) {
			written = f.Modified
		}
		return parse.NewParser(time.Local, written, j.Count.Classes)
	}
	from := back
	if !back.IsZero() {
		from = back.Add(-drift)
	}
	logs := logfile.Open(j.Logs, j.stdin, from, parser, j.warn)
	defer logs.Close()
	if j.DryRun || j.Verbose {
		j.tell(logs, back)
	}
	total := read{Files: len(logs.Files())}
	for events := range logs.Events(&total.Totals) {
		counter.Add(events)
	}
	return counter, total
}

// tell says which files are read, and how far back they reach.
func (j *job) tell(logs *logfile.Set, back time.Time) {
	for _, files := range logs.Logs() {
		reach := int64(math.MaxInt64)
		for _, f := range files {
			if f.Begins == 0 {
				j.note("reading %s", f.Name)
				continue
			}
			j.note("reading %s, which begins %s", f.Name, clock(time.Unix(f.Begins, 0)))
			reach = min(reach, f.Begins)
		}
		if len(files) > 0 && !back.IsZero() && reach > back.Unix() {
			j.note("%s and its rotations do not reach back to %s", files[len(files)-1].Name, clock(back))
		}
	}
}

// judge says what is wrong or surprising about what was counted.
func (j *job) judge(t count.Totals) {
	// Of failures older than the window the sessions may begin in a rotated log
	// that was not needed.
	if t.Outside < t.Failures && t.Nameless > 0 && t.Addressed == 0 && t.Local == 0 {
		j.warn(fmt.Errorf("%s, but no address of any: has the format of the log changed?", many(t.Nameless, "failure")))
	}
	if (j.DryRun || j.Verbose) && t.Anonymous > 0 {
		j.note("%s in lines that name no address, as of saslauthd", many(t.Anonymous, "failure"))
	}
	if j.DryRun && t.Misdated > 0 {
		j.note("%s more than a day ahead of the clock, not counted", many(t.Misdated, "event"))
	}
	if j.DryRun && t.Failures > 0 && t.Outside == t.Failures {
		j.note("all failures are older than %v: -w 0 counts them whatever their age", j.Within)
	}
}

// apply carries the plan out: expire, delete, add, kill. It returns what of it
// was done. A step that fails is reported and the next one taken.
func (j *job) apply(table *pftable.Table, plan []pftable.Change, counted *count.Counter, report func(string) error) []pftable.Change {
	prefixes := func(actions ...pftable.Action) (list []netip.Prefix) {
		for _, c := range plan {
			if slices.Contains(actions, c.Action) {
				list = append(list, c.Prefix)
			}
		}
		return list
	}
	done := map[pftable.Action]bool{}
	step := func(a pftable.Action, n int, err error) {
		if err != nil {
			j.warn(err)
		}
		done[a] = err == nil && n > 0
	}
	if list := prefixes(pftable.Expire, pftable.Renew); len(list) > 0 {
		n, err := table.Expire(time.Duration(j.Expire))
		step(pftable.Expire, n, err)
	}
	if list := prefixes(pftable.Delete); len(list) > 0 {
		n, err := table.Delete(list)
		step(pftable.Delete, n, err)
	}
	due := prefixes(pftable.Add)
	if done[pftable.Expire] {
		due = prefixes(pftable.Add, pftable.Renew)
	}
	added := j.add(table, due, counted)
	for _, p := range due {
		if !added[p] {
			continue
		}
		if err := table.Kill(p); err != nil {
			j.warn(err)
			break // the others would fail as this one, perhaps after a minute each
		}
	}
	var did []pftable.Change
	for _, c := range plan {
		if c.Action == pftable.Renew && !added[c.Prefix] {
			c.Action = pftable.Expire
		}
		if done[c.Action] || added[c.Prefix] {
			did = append(did, c)
			// A host without a syslogd loses the lines, and nothing else.
			_ = report(j.record(c, counted))
		}
	}
	return did
}

// add adds what fits, the worst offenders first, and returns what was added.
func (j *job) add(table *pftable.Table, list []netip.Prefix, counted *count.Counter) map[netip.Prefix]bool {
	added := map[netip.Prefix]bool{}
	if len(list) == 0 {
		return added
	}
	room, err := table.Room()
	if err != nil {
		j.warn(err)
		return added
	}
	if room < len(list) {
		j.warn(fmt.Errorf("table <%s>: %d to add, but pf has room for %d: raise \"set limit table-entries\" in /etc/pf.conf",
			j.Table, len(list), room))
		slices.SortStableFunc(list, func(a, b netip.Prefix) int {
			worse, _ := counted.Offender(b)
			worst, _ := counted.Offender(a)
			return worse.Failures.Sum() - worst.Failures.Sum()
		})
		if list = list[:room]; room == 0 {
			return added
		}
	}
	_, err = table.Add(list)
	if err == nil {
		for _, p := range list {
			added[p] = true
		}
		return added
	}
	// Some batches may have come in: the table knows.
	j.warn(err)
	entries, err := table.Show()
	if err != nil {
		return added
	}
	for _, e := range entries {
		if slices.Contains(list, e.Prefix) {
			added[e.Prefix] = true
		}
	}
	return added
}

// print writes changes, or a plan, as text or logfmt.
func (j *job) print(plan []pftable.Change, counted *count.Counter) {
	if j.Output == "logfmt" {
		for _, c := range plan {
			fmt.Fprintln(j.stdout, j.record(c, counted))
		}
		return
	}
	w := tabwriter.NewWriter(j.stdout, 0, 8, 2, ' ', 0)
	for _, c := range plan {
		o, known := counted.Offender(c.Prefix)
		fmt.Fprintf(w, "%s\t%s", c.Action, pftable.Text(c.Prefix))
		switch {
		case known && c.Stays():
			fmt.Fprintf(w, "\t%s\t%s to %s\tuntil %s\t%s", failures(o.Failures),
				clock(o.First), clock(o.Last), clock(j.until(c)), names(o))
		case c.Action == pftable.Keep:
			fmt.Fprintf(w, "\t\tsince %s\tuntil %s", clock(c.Since), clock(j.until(c)))
		case c.Action == pftable.Delete:
			fmt.Fprintf(w, "\tignored\tsince %s", clock(c.Since))
		default:
			fmt.Fprintf(w, "\t\tsince %s", clock(c.Since))
		}
		fmt.Fprintln(w)
	}
	w.Flush()
}

// until says when pf's table will have held a prefix for as long as a ban
// lasts.
func (j *job) until(c pftable.Change) time.Time {
	since := c.Since
	if c.Action == pftable.Add || c.Action == pftable.Renew {
		since = j.now
	}
	return since.Add(time.Duration(j.Expire))
}

// record returns a change as a line of logfmt. The encoder quotes, so that no
// user name can look like a field.
func (j *job) record(c pftable.Change, counted *count.Counter) string {
	verb := string(c.Action)
	if c.Action == pftable.Add || c.Action == pftable.Renew {
		verb = "ban"
	}
	fields := []any{"address", pftable.Text(c.Prefix)}
	if o, known := counted.Offender(c.Prefix); known && c.Stays() {
		fields = append(fields, "failures", o.Failures.Sum())
		for class, n := range o.Failures {
			if n > 0 {
				fields = append(fields, parse.ClassNames[class], n)
			}
		}
		fields = append(fields, "users", o.Users, "first", stamp(o.First), "last", stamp(o.Last))
	}
	if !c.Since.IsZero() {
		fields = append(fields, "since", stamp(c.Since))
	}
	if c.Stays() {
		fields = append(fields, "until", stamp(j.until(c)))
	}
	var line bytes.Buffer
	line.WriteString(verb + " ")
	if err := logfmt.NewEncoder(&line).EncodeKeyvals(fields...); err != nil {
		return verb + " address=" + pftable.Text(c.Prefix) // cannot be: the fields are all our own
	}
	return line.String()
}

func stamp(t time.Time) string { return t.Local().Format(time.RFC3339) }
func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// failures says how many there are and of which class.
func failures(all count.Failures) string {
	var list []string
	for class, n := range all {
		if int(n) == all.Sum() {
			list = []string{parse.ClassNames[class]}
		} else if n > 0 {
			list = append(list, strconv.Itoa(int(n))+" "+parse.ClassNames[class])
		}
	}
	return many(all.Sum(), "failure") + " (" + strings.Join(list, ", ") + ")"
}

// names lists the user names that a client tried.
func names(o count.Offender) string {
	var list []string
	for _, n := range o.Names {
		list = append(list, strconv.QuoteToASCII(n))
	}
	if more := o.Users - len(list); more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(list, " ")
}

func many(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if strings.HasSuffix(what, "s") {
		what += "e"
	}
	return strconv.Itoa(n) + " " + what + "s"
}
