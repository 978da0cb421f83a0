package daemons_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ban_smtpd/regress/recorded"
)

const (
	// The test runs itself once more, in namespaces of its own, to be the mail
	// server and its clients there. These name the Debian and the folder for
	// the log and the truth.
	insideSuite = "BAN_SMTPD_INSIDE_SUITE"
	insideRoot  = "BAN_SMTPD_INSIDE_ROOT"
	insideDir   = "BAN_SMTPD_INSIDE_DIR"

	longest = 5 * time.Minute // of the whole attack
)

const packages = "postfix,sasl2-bin,libsasl2-modules," +
	"dovecot-core,dovecot-imapd,dovecot-pop3d,dovecot-submissiond,dovecot-managesieved,dovecot-sieve," +
	"openssh-server,openssh-client,rsyslog,openssl"

// daemons are started in this order, and then attacked all at once.
var daemons = []daemon{postfix, dovecot, sshd}

// daemon is one that is attacked, with its clients.
type daemon struct {
	name   string
	addrs  func() []netip.Addr                 // of all clients, to be put on lo
	start  func(m *machine) error              // configures and starts it, and returns when it is ready
	attack func(m *machine) ([]outcome, error) // returns when the daemon has logged all of it
	stop   func(m *machine) error
}

// outcome is what a client knows that it did: so many of a class.
type outcome struct {
	addr  netip.Addr
	class string // auth, abort, harvest or scan
	n     int
}

// The addresses that all daemons listen on.
var (
	server4 = netip.MustParseAddr("192.0.2.1")
	server6 = netip.MustParseAddr("2001:db8:ffff::1")
)

func TestMain(m *testing.M) {
	suite, root, dir := os.Getenv(insideSuite), os.Getenv(insideRoot), os.Getenv(insideDir)
	if root == "" {
		os.Exit(m.Run())
	}
	chosen := choose()
	addrs := []netip.Addr{server4, server6}
	for _, d := range chosen {
		addrs = append(addrs, d.addrs()...)
	}
	merged, err := recorded.SetUp(root, dir, addrs)
	if err != nil {
		fmt.Println("SKIPPED:", err)
		os.Exit(recorded.Skipped)
	}
	machine := &machine{root: merged, dir: dir, suite: suite}
	if err := machine.run(chosen); err != nil {
		fmt.Println(err)
		log, _ := os.ReadFile(machine.root + "/var/log/bsd")
		os.WriteFile(filepath.Join(dir, suite+".failed"), log, 0o644)
		os.Exit(1)
	}
}

// choose returns the daemons that BAN_SMTPD_DAEMONS names, or all of them.
func choose() []daemon {
	only := os.Getenv("BAN_SMTPD_DAEMONS")
	if only == "" {
		return daemons
	}
	var list []daemon
	for _, d := range daemons {
		if slices.Contains(strings.Split(only, ","), d.name) {
			list = append(list, d)
		}
	}
	return list
}

// TestAttack attacks the daemons of Debian 12 and of Debian 13. It skips itself
// where something is missing; BAN_SMTPD_REAL=must makes that a failure.
// BAN_SMTPD_SUITE names the Debians to take instead. BAN_SMTPD_UPDATE=1 keeps the
// logs as test data. To work on one daemon, BAN_SMTPD_DAEMONS=postfix attacks no
// other, and BAN_SMTPD_UPDATE=/a/folder keeps the log there.
func TestAttack(t *testing.T) {
	folder := os.Getenv("BAN_SMTPD_UPDATE")
	if folder == "1" {
		folder = "testdata"
		if os.Getenv("BAN_SMTPD_DAEMONS") != "" {
			t.Fatal("BAN_SMTPD_UPDATE=1 needs all daemons")
		}
	}
	for _, suite := range strings.Split(cmp.Or(os.Getenv("BAN_SMTPD_SUITE"), "bookworm,trixie"), ",") {
		t.Run(suite, func(t *testing.T) { attack(t, suite, folder) })
	}
}

func attack(t *testing.T, suite, folder string) {
	root := "/var/tmp/ban_smtpd-daemons-" + suite
	recorded.Need(t, suite, root, "/usr/sbin/sshd", packages)
	dir := t.TempDir()
	out, err := recorded.Inside(t, longest, insideSuite+"="+suite, insideRoot+"="+root, insideDir+"="+dir)
	base := filepath.Join(dir, suite)
	if folder != "" {
		keep(t, base, folder)
	}
	if err != nil {
		t.Fatalf("attack: %v\n%s", err, out)
	}
	t.Log(out)
	check(t, base)
}

// keep copies what the attack left into a folder.
func keep(t *testing.T, base, folder string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(base + ".*")
	for _, file := range files {
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(file)), recorded.Read(t, file), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// machine is a Debian in a chroot on an overlay, in namespaces of its own.
type machine struct {
	root   string // its root folder
	dir    string // where the log and the truth go
	suite  string
	syslog *exec.Cmd
}

// password is that of every user there is.
const password = "correct horse"

// base is the configuration that all daemons share. Nobody can be asked for a
// name: reverse names are those of /etc/hosts.
var base = map[string]string{
	"/etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\nprotocols: files\n",
	"/etc/hosts":         "127.0.0.1 localhost\n::1 localhost\n192.0.2.1 mail.example.test mail\n2001:db8:ffff::1 mail.example.test mail\n",
	"/etc/rsyslog.conf": `module(load="imuxsock" SysSock.RateLimit.Interval="0")
auth,authpriv,mail.* action(type="omfile" file="/var/log/bsd" template="RSYSLOG_TraditionalFileFormat")
auth,authpriv,mail.* action(type="omfile" file="/var/log/iso" template="RSYSLOG_FileFormat")
`,
}

// run attacks the daemons and writes down what they logged, and the truth.
func (m *machine) run(chosen []daemon) error {
	if err := m.start(); err != nil {
		return err
	}
	for _, d := range chosen {
		if err := d.start(m); err != nil {
			return fmt.Errorf("%s: start: %v", d.name, err)
		}
	}
	began := time.Now()
	outcomes, errs := make([][]outcome, len(chosen)), make([]error, len(chosen))
	var wg sync.WaitGroup
	for i, d := range chosen {
		wg.Go(func() {
			var err error
			if outcomes[i], err = d.attack(m); err != nil {
				errs[i] = fmt.Errorf("%s: %v", d.name, err)
			}
			fmt.Printf("%s: done after %v\n", d.name, time.Since(began).Round(time.Second))
		})
	}
	wg.Wait()
	for _, d := range chosen {
		if err := d.stop(m); err != nil {
			errs = append(errs, fmt.Errorf("%s: stop: %v", d.name, err))
		}
	}
	errs = append(errs, m.stop())

	base := filepath.Join(m.dir, m.suite)
	for kind, log := range map[string]string{".log": "bsd", ".iso.log": "iso"} {
		text, err := os.ReadFile(filepath.Join(m.root, "var/log", log))
		if err != nil {
			return err
		}
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		z.Write(text)
		if err := errors.Join(z.Close(), os.WriteFile(base+kind+".gz", b.Bytes(), 0o644)); err != nil {
			return err
		}
		fmt.Printf("%s: %d lines, %d bytes\n", filepath.Base(base+kind), bytes.Count(text, []byte("\n")), len(text))
	}
	errs = append(errs, os.WriteFile(base+".truth", truth(slices.Concat(outcomes...)), 0o644))
	return errors.Join(errs...)
}

// truth returns a line "ADDRESS CLASS N" for each client and class.
func truth(all []outcome) []byte {
	type key struct {
		addr  netip.Addr
		class string
	}
	sums := map[key]int{}
	for _, o := range all {
		sums[key{o.addr, o.class}] += o.n
	}
	keys := slices.SortedFunc(maps.Keys(sums), func(a, b key) int {
		return cmp.Or(a.addr.Compare(b.addr), cmp.Compare(a.class, b.class))
	})
	var b bytes.Buffer
	for _, k := range keys {
		if sums[k] > 0 {
			fmt.Fprintln(&b, k.addr, k.class, sums[k])
		}
	}
	return b.Bytes()
}

// command returns a command that runs in the machine's root.
func (m *machine) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: m.root}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TZ=UTC", "LC_ALL=C"}
	cmd.WaitDelay = time.Second // a daemon's children inherit its output
	return cmd
}

// exec runs a command in the machine's root to its end.
func (m *machine) exec(name string, args ...string) error {
	if out, err := m.command(name, args...).CombinedOutput(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return fmt.Errorf("%s %q: %v: %s", name, args, err, out)
	}
	return nil
}

// write writes a file of the machine.
func (m *machine) write(name, text string) error {
	return os.WriteFile(m.root+name, []byte(text), 0o644)
}

// hosts adds lines "ADDRESS NAME..." to /etc/hosts.
func (m *machine) hosts(lines string) error {
	f, err := os.OpenFile(m.root+"/etc/hosts", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(lines)
	return errors.Join(err, f.Close())
}

// user adds an account with a password and no login shell, unless it is there.
func (m *machine) user(name string) error {
	if m.exec("/usr/bin/id", name) == nil {
		return nil
	}
	hash, err := m.command("/usr/bin/openssl", "passwd", "-6", password).Output()
	if err != nil {
		return fmt.Errorf("openssl passwd: %v", err)
	}
	return m.exec("/usr/sbin/useradd", "-m", "-p", strings.TrimSpace(string(hash)), name)
}

// log returns what has been logged so far, with BSD stamps.
func (m *machine) log() string {
	text, _ := os.ReadFile(m.root + "/var/log/bsd")
	return string(text)
}

// start starts rsyslogd, and makes what daemons share: a certificate in
// /etc/ssl/test.pem with its key in /etc/ssl/test.key, and users.
func (m *machine) start() error {
	if err := m.exec("/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
		"-nodes", "-days", "3", "-subj", "/CN=mail.example.test", "-keyout", "/etc/ssl/test.key", "-out", "/etc/ssl/test.pem"); err != nil {
		return err
	}
	for name, text := range base {
		if err := m.write(name, text); err != nil {
			return err
		}
	}
	for _, user := range users {
		if err := m.user(user); err != nil {
			return err
		}
	}
	m.syslog = m.command("/usr/sbin/rsyslogd", "-n", "-i", "NONE")
	if err := m.syslog.Start(); err != nil {
		return err
	}
	if err := wait(func() error { return m.say("test: begin") }); err != nil {
		return fmt.Errorf("rsyslogd: %v", err)
	}
	return nil
}

// users exist, with the password above.
var users = []string{"alice", "bob", "carol"}

// stop ends rsyslogd when everything is in the log.
func (m *machine) stop() error {
	// What syslog(3) has sent is read in order.
	const last = "test: end"
	if err := m.say(last); err != nil {
		return err
	}
	err := wait(func() error {
		for _, log := range []string{"bsd", "iso"} {
			text, err := os.ReadFile(filepath.Join(m.root, "var/log", log))
			if err != nil {
				return err
			}
			if !bytes.HasSuffix(text, []byte(last+"\n")) {
				return fmt.Errorf("%s does not end with %q", log, last)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("rsyslogd: %v", err)
	}
	return m.syslog.Process.Signal(syscall.SIGTERM)
}

// say writes a line to the log.
func (m *machine) say(text string) error {
	c, err := net.Dial("unixgram", filepath.Join(m.root, "dev/log"))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = fmt.Fprintf(c, "<22>%s %s", time.Now().Format(time.Stamp), text)
	return err
}

// wait tries until there is no error, for ten seconds at most.
func wait(try func() error) error {
	var err error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = try(); err == nil {
			break
		}
	}
	return err
}
