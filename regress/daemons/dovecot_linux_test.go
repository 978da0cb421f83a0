package daemons_test

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// dovecot runs twice: once as its package sets it up, where only the login
// processes tell of failures, and once with auth_verbose, where the auth
// process tells of them as well. Each client does the same to both, from two
// addresses.
var dovecot = daemon{
	name: "dovecot",
	addrs: func() []netip.Addr {
		var list []netip.Addr
		for _, c := range doveClients() {
			list = append(list, c.addr)
		}
		return list
	},
	start: func(m *machine) error {
		if err := doveRelay(); err != nil {
			return err
		}
		for i := range doveInstances {
			if err := doveInstances[i].start(m); err != nil {
				return err
			}
		}
		return nil
	},
	attack: attackDovecot,
	stop: func(m *machine) error {
		var errs []error
		for i := range doveInstances {
			errs = append(errs, doveInstances[i].stop())
		}
		return errors.Join(errs...)
	},
}

// doveInstance is one of the two. The ports of the second are out of the way of
// the first's.
type doveInstance struct {
	name    string
	offset  int // of all ports
	verbose bool
	cmd     *exec.Cmd
}

var doveInstances = []doveInstance{
	{name: "dovecot"},
	{name: "verbose", offset: 10000, verbose: true},
}

// dovePorts are those of the first instance.
var dovePorts = map[string]int{
	"imap": 143, "imaps": 993, "pop3": 110, "pop3s": 995, "submission": 1587, "sieve": 4190,
}

// doveUsers exist. The password of disabled is right, but of no use. The file
// that should have the password of broken cannot be read; that of half may be
// in another file, where it is not.
const doveUsers = "alice:{PLAIN}" + password + "\nbob:{PLAIN}" + password + "\ncarol@example.test:{PLAIN}" + password +
	"\ndisabled:{PLAIN}" + password + "::::::nologin\n"

// doveServices is the part of the configuration that 2.3 and 2.4 have in common.
// A penalty, which grows with each failure, would only take time.
const doveServices = `
listen = 192.0.2.1, 2001:db8:ffff::1
base_dir = /run/%[1]s
default_process_limit = 500
auth_mechanisms = plain login cram-md5
auth_username_chars =
auth_verbose = %[2]s
auth_failure_delay = 1s
first_valid_uid = 1
submission_relay_host = 127.0.0.1
submission_relay_port = 1588
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service imap-login {
  inet_listener imap {
    port = %[3]d
  }
  inet_listener imaps {
    port = %[4]d
    ssl = yes
  }
}
service pop3-login {
  inet_listener pop3 {
    port = %[5]d
  }
  inet_listener pop3s {
    port = %[6]d
    ssl = yes
  }
}
service submission-login {
  inet_listener submission {
    port = %[7]d
  }
  inet_listener submissions {
    port = 0
  }
}
service managesieve-login {
  inet_listener sieve {
    port = %[8]d
  }
}
`

// dove23 and dove24 are the parts that differ.
const (
	dove23 = `
protocols = imap pop3 submission sieve
mail_location = maildir:~/Maildir
ssl = yes
ssl_cert = </etc/ssl/test.pem
ssl_key = </etc/ssl/test.key
passdb {
  driver = passwd-file
  args = /etc/dovecot/broken.users
  username_filter = broken half
}
passdb {
  driver = passwd-file
  username_filter = !broken
  args = /etc/dovecot/test.users
}
userdb {
  driver = static
  args = uid=mail gid=mail home=/tmp/%u
}
`
	dove24 = `
protocols = imap pop3 submission sieve
mail_driver = maildir
mail_path = ~/Maildir
ssl = yes
ssl_server_cert_file = /etc/ssl/test.pem
ssl_server_key_file = /etc/ssl/test.key
passdb broken {
  driver = passwd-file
  passwd_file_path = /etc/dovecot/broken.users
  username_filter = broken half
}
passdb passwd-file {
  username_filter = !broken
  passwd_file_path = /etc/dovecot/test.users
}
userdb static {
  fields {
    uid = mail
    gid = mail
    home = /tmp/%{user}
  }
}
`
)

// start returns when the instance listens.
func (i *doveInstance) start(m *machine) error {
	if err := errors.Join(
		m.write("/etc/dovecot/test.users", doveUsers),
		m.write("/etc/dovecot/broken.users", ""),
		os.Chmod(m.root+"/etc/dovecot/broken.users", 0),
	); err != nil {
		return err
	}
	conf, version := dove23, "2.3"
	out, err := m.command("/usr/sbin/dovecot", "--version").Output()
	if err != nil {
		return fmt.Errorf("dovecot --version: %v", err)
	}
	if !strings.HasPrefix(string(out), "2.3") {
		version, conf = "2.4", "dovecot_config_version = 2.4.1\ndovecot_storage_version = 2.4.1\n"+dove24
	}
	verbose := map[bool]string{true: "yes", false: "no"}[i.verbose]
	args := []any{i.name, verbose}
	for _, service := range []string{"imap", "imaps", "pop3", "pop3s", "submission", "sieve"} {
		args = append(args, dovePorts[service]+i.offset)
	}
	conf += fmt.Sprintf(doveServices, args...)
	// Postfix asks the verbose one: what that tells of a failure must not be
	// counted beside what Postfix tells.
	const private = "/var/spool/postfix/private"
	if _, err := os.Stat(m.root + private); err == nil && i.verbose {
		conf += "service auth {\n  unix_listener " + private + "/auth {\n    mode = 0666\n  }\n}\n"
	}
	name := "/etc/dovecot/" + i.name + ".test.conf"
	if err := m.write(name, conf); err != nil {
		return err
	}
	if err := os.MkdirAll(m.root+"/run/"+i.name, 0o755); err != nil {
		return err
	}
	i.cmd = m.command("/usr/sbin/dovecot", "-F", "-c", name)
	var said strings.Builder
	i.cmd.Stdout, i.cmd.Stderr = &said, &said
	if err := i.cmd.Start(); err != nil {
		return err
	}
	err = wait(func() error {
		c, err := net.Dial("tcp", netip.AddrPortFrom(server6, uint16(dovePorts["sieve"]+i.offset)).String())
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("dovecot %s: %v: %s%s", version, err, &said, m.log())
	}
	return nil
}

// doveRelay is the server to which a submission server hands its mail, which
// it greets before it tells the client that a login was right.
func doveRelay() error {
	l, err := net.Listen("tcp", "127.0.0.1:1588")
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.WriteString(conn, "220 mail.example.test ESMTP\r\n")
				for r := bufio.NewScanner(conn); r.Scan(); {
					io.WriteString(conn, "250 OK\r\n")
				}
			}()
		}
	}()
	return nil
}

func (i *doveInstance) stop() error {
	if err := i.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("dovecot: %v", err)
	}
	if err := i.cmd.Wait(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return fmt.Errorf("dovecot: %v", err)
	}
	return nil
}

// doveClient is somebody at one address, who does one thing after the other.
type doveClient struct {
	addr   netip.Addr
	offset int // of the instance's ports
	do     func(*doveClient)
	counts map[string]int // of each class
	errs   []error
}

// attackDovecot lets all clients do what they do, and returns what they were
// told.
func attackDovecot(*machine) ([]outcome, error) {
	all := doveClients()
	slots := make(chan bool, 60) // fewer than login processes
	var wg sync.WaitGroup
	for _, c := range all {
		slots <- true
		wg.Go(func() {
			defer func() { <-slots }()
			c.do(c)
		})
	}
	wg.Wait()
	var list []outcome
	var errs []error
	for _, c := range all {
		for class, n := range c.counts {
			list = append(list, outcome{c.addr, class, n})
		}
		errs = append(errs, c.errs...)
	}
	return list, errors.Join(errs...)
}

// doveSession is one connection. Once it is closed, each reply is empty.
type doveSession struct {
	client *doveClient
	proto  string
	conn   net.Conn
	r      *bufio.Reader
	tag    int
	err    error
}

// doveAnswer is what a server says to the lines of a login.
type doveAnswer int

const (
	gone      doveAnswer = iota // nothing: the connection is closed
	accepted                    // logged in
	refused                     // the credentials were checked, and are wrong
	unchecked                   // not so far: aborted, malformed, not offered
	trouble                     // the server cannot tell now
	more                        // the rest, please
)

// dial connects, and no more.
func (c *doveClient) dial(proto string) *doveSession {
	server := server4
	if c.addr.Is6() {
		server = server6
	}
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.addr, 0))}
	conn, err := d.Dial("tcp", netip.AddrPortFrom(server, uint16(dovePorts[proto]+c.offset)).String())
	if err != nil {
		c.errs = append(c.errs, err)
		conn, _ = net.Pipe()
		conn.Close()
	}
	conn.SetDeadline(time.Now().Add(longest / 2))
	return &doveSession{client: c, proto: proto, conn: conn, r: bufio.NewReader(conn)}
}

// open begins a session with TLS.
func (c *doveClient) open(proto string) *doveSession {
	s := c.dial(proto)
	switch proto {
	case "imaps", "pop3s":
		s.proto = strings.TrimSuffix(proto, "s")
		s.encrypt()
	}
	s.greeted()
	if s.proto == proto {
		start := map[string]string{"imap": "a STARTTLS", "pop3": "STLS", "submission": "STARTTLS", "sieve": "STARTTLS"}[proto]
		if reply := s.cmd(start); s.answer(reply) != accepted {
			s.complain("STARTTLS", reply)
		}
		s.encrypt()
		switch proto {
		case "sieve":
			s.reply() // the capabilities once more
		case "submission":
			s.cmd("EHLO client.example.test")
		}
	}
	return s
}

// clear begins a session without.
func (c *doveClient) clear(proto string) *doveSession {
	s := c.dial(proto)
	s.greeted()
	return s
}

func (s *doveSession) greeted() {
	if reply := s.reply(); s.answer(reply) != accepted {
		s.complain("greeting", reply)
	}
	if s.proto == "submission" {
		s.cmd("EHLO client.example.test")
	}
}

func (s *doveSession) encrypt() {
	s.conn = tls.Client(s.conn, &tls.Config{InsecureSkipVerify: true})
	s.r.Reset(s.conn)
}

func (s *doveSession) complain(what, reply string) {
	s.client.errs = append(s.client.errs, fmt.Errorf("%v: %s: %s: %q (%v)", s.client.addr, s.proto, what, reply, s.err))
}

func (s *doveSession) close() { s.conn.Close() }

// quit says so, and waits until the server has closed the connection.
func (s *doveSession) quit() {
	s.cmd(map[string]string{"imap": "z LOGOUT", "pop3": "QUIT", "submission": "QUIT", "sieve": "LOGOUT"}[s.proto])
	io.Copy(io.Discard, s.r)
	s.close()
}

// cmd sends a line and returns the reply to it.
func (s *doveSession) cmd(line string) string {
	io.WriteString(s.conn, line+"\r\n")
	return s.reply()
}

// reply returns the last line of the next reply.
func (s *doveSession) reply() string {
	for first := true; ; first = false {
		line, err := s.r.ReadString('\n')
		if err != nil {
			s.err = cmp.Or(s.err, err)
			return ""
		}
		line = strings.TrimRight(line, "\r\n")
		done := true
		switch s.proto {
		case "imap": // the greeting has no tag
			done = !strings.HasPrefix(line, "* ") || first && s.tag == 0 && strings.HasPrefix(line, "* OK")
		case "submission":
			done = len(line) < 4 || line[3] != '-'
		case "sieve": // capabilities come first, a challenge is a string
			done = !strings.HasPrefix(line, `"`) || !strings.Contains(line, " ") && strings.HasSuffix(line, `"`) &&
				!slices.Contains([]string{`"STARTTLS"`, `"UNAUTHENTICATE"`}, line)
		}
		if done {
			return line
		}
	}
}

// answer tells what a reply means.
func (s *doveSession) answer(reply string) doveAnswer {
	word, rest, _ := strings.Cut(reply, " ")
	if s.proto == "imap" && word != "+" {
		word, rest, _ = strings.Cut(rest, " ")
	}
	switch {
	case reply == "":
		return gone
	case word == "OK", word == "+OK", word == "220", word == "235":
		return accepted
	case word == "+", word == "334", s.proto == "sieve" && strings.HasPrefix(reply, `"`):
		return more
	case strings.Contains(rest, "Authentication failed"):
		return refused
	case strings.Contains(rest, "Login disabled"): // but the password is right
		return trouble
	case word == "454", strings.Contains(rest, "[UNAVAILABLE]"), strings.Contains(rest, "[SYS/TEMP]"), strings.Contains(rest, "TRYLATER"):
		return trouble
	}
	return unchecked
}

// mechs are the ways to log in: the protocol's own command, or SASL.
var doveMechs = []string{"", "PLAIN", "PLAIN asked", "LOGIN", "CRAM-MD5"}

// auth logs in and counts what comes of it.
func (s *doveSession) auth(mech, user, pass string) doveAnswer {
	initial := encode64("\x00" + user + "\x00" + pass)
	switch mech {
	case "PLAIN":
		return s.told(s.begin("PLAIN", initial))
	case "PLAIN asked":
		if s.proto == "sieve" { // refused before it is asked for
			return s.told(s.begin("PLAIN", initial))
		}
		return s.told(s.begin("PLAIN", ""), s.more(initial))
	case "LOGIN":
		return s.told(s.begin("LOGIN", ""), s.more(encode64(user)), s.more(encode64(pass)))
	case "CRAM-MD5": // never right
		return s.told(s.begin("CRAM-MD5", ""), s.more(encode64(user+" 0123456789abcdef0123456789abcdef")))
	}
	switch s.proto {
	case "imap":
		s.tag++
		return s.told(fmt.Sprintf("a%d LOGIN {%d+}\r\n%s {%d+}\r\n%s", s.tag, len(user), user, len(pass), pass))
	case "pop3":
		if reply := s.cmd("USER " + user); s.answer(reply) != accepted {
			return s.count(reply)
		}
		return s.told("PASS " + pass)
	}
	return s.told(s.begin("PLAIN", initial)) // has no command of its own
}

// begin returns the line that begins a login by SASL.
func (s *doveSession) begin(mech, initial string) string {
	if initial != "" {
		initial = " " + s.more(initial)
	}
	switch s.proto {
	case "imap":
		s.tag++
		return fmt.Sprintf("a%d AUTHENTICATE %s%s", s.tag, mech, initial)
	case "sieve":
		return fmt.Sprintf("AUTHENTICATE %q%s", mech, initial)
	}
	return "AUTH " + mech + initial
}

// more returns what is sent in reply to a challenge.
func (s *doveSession) more(text string) string {
	if s.proto == "sieve" {
		return `"` + text + `"`
	}
	return text
}

// told sends the lines of a login, as long as the server asks for more.
func (s *doveSession) told(lines ...string) doveAnswer {
	reply := ""
	for i, line := range lines {
		if reply = s.cmd(line); i < len(lines)-1 && s.answer(reply) != more {
			break
		}
	}
	return s.count(reply)
}

// count remembers what a login came to. This is where the truth comes from.
func (s *doveSession) count(reply string) doveAnswer {
	a := s.answer(reply)
	switch a {
	case refused:
		s.client.counts["auth"]++
	case unchecked, gone, more: // more: the client leaves it at that
		s.client.counts["abort"]++
	}
	if doveTrace != nil {
		fmt.Fprintf(doveTrace, "%v %s %d %q\n", s.client.addr, s.proto, a, reply)
	}
	return a
}

// doveTrace is where all answers go, to see what there is.
var doveTrace io.Writer

// fail fails n times as a user, in all the ways there are.
func (s *doveSession) fail(n int, user string) {
	for i := range n {
		if a := s.auth(doveMechs[i%len(doveMechs)], user, "wrong"); a != refused {
			s.complain("wrong password", fmt.Sprint(a))
		}
	}
}

// succeed logs in.
func (s *doveSession) succeed(mech, user string) {
	if a := s.auth(mech, user, password); a != accepted {
		s.complain("right password", fmt.Sprint(a))
	}
}

func encode64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// doveClients returns all clients, each twice: one for each instance. Every
// other one has an IPv6 address, in a /64 of its own.
func doveClients() []*doveClient {
	var all []*doveClient
	n := 0
	add := func(do func(*doveClient)) {
		for _, i := range doveInstances {
			addr := fmt.Sprintf("198.19.%d.%d", n/200, n%200+1)
			if n/len(doveInstances)%2 == 1 {
				addr = fmt.Sprintf("2001:db8:143:%x::1", n)
			}
			n++
			all = append(all, &doveClient{
				addr: netip.MustParseAddr(addr), offset: i.offset, do: do, counts: map[string]int{},
			})
		}
	}
	protos := slices.Sorted(maps.Keys(dovePorts))
	addDoveBots(add, protos)
	addDoveUnfinished(add, protos)
	addDoveScans(add, protos)
	for i, user := range doveHostile() {
		add(func(c *doveClient) { c.hostileUser(user, i, protos) })
	}
	for _, proto := range protos {
		for _, mech := range []string{
			"X, rip=192.0.2.66, lip=192.0.2.1, TLS, session=<x>",
			"PLAIN failed: x: user=<x>, rip=192.0.2.66, lip=192.0.2.1",
			"X), rip=192.0.2.66 (auth failed, 99 attempts in 9 secs): user=<>", strings.Repeat("X", 200),
		} {
			add(func(c *doveClient) { c.hostileMech(mech, proto) })
		}
	}
	return all
}

// addDoveBots adds the usual: wrong passwords, in each way that there is to
// send them, and honest users.
func addDoveBots(add func(func(*doveClient)), protos []string) {
	for i, proto := range protos {
		for n := range len(doveMechs) {
			add(func(c *doveClient) {
				s := c.open(proto)
				s.fail(n+1, []string{"alice", "root", "info@example.test"}[(n+i)%3])
				if n%2 == 0 {
					s.quit()
				} else {
					s.close()
				}
			})
		}
		for _, mech := range doveMechs[:4] {
			add(func(c *doveClient) {
				s := c.open(proto)
				s.succeed(mech, "alice")
				s.quit()
			})
		}
		add(func(c *doveClient) { // comes back
			for range 3 {
				s := c.open(proto)
				s.fail(2, "root")
				s.quit()
			}
		})
		add(func(c *doveClient) { // two sessions at once, as several users
			s1, s2 := c.open(proto), c.open(proto)
			for _, user := range []string{"root", "bob", "carol@example.test"} {
				s1.fail(1, user)
				s2.fail(1, user)
			}
			s2.close()
			s1.quit()
		})
		add(func(c *doveClient) { // a success, and failures in other sessions
			s := c.open(proto)
			s.fail(2, "bob")
			s.quit()
			s = c.open(proto)
			s.succeed("PLAIN", "bob")
			s.quit()
		})
		for _, user := range []string{"broken", "half"} { // whose password nobody can check
			add(func(c *doveClient) {
				s := c.open(proto)
				for _, mech := range doveMechs[1:4] {
					if a := s.auth(mech, user, "wrong"); a != trouble {
						s.complain(user, fmt.Sprint(a))
					}
				}
				s.quit()
			})
		}
		add(func(c *doveClient) {
			s := c.open(proto)
			if a := s.auth("PLAIN", "disabled", password); a != trouble {
				s.complain("disabled", fmt.Sprint(a))
			}
			s.quit()
		})
	}
}

// addDoveUnfinished adds logins that never get so far that a password is
// checked.
func addDoveUnfinished(add func(func(*doveClient)), protos []string) {
	for _, proto := range protos {
		// A session each, since the log tells only what became of the last.
		for i := range 9 {
			add(func(c *doveClient) {
				s := c.open(proto)
				plain, login := s.begin("PLAIN", ""), s.begin("LOGIN", "")
				switch i {
				case 0:
					s.told(plain, s.more("*"))
				case 1:
					s.told(login, s.more("*"))
				case 2:
					s.told(login, s.more(encode64("root")), s.more("*"))
				case 3:
					s.told(s.begin("PLAIN", "====="))
				case 4:
					s.told(plain, s.more("not base64!"))
				case 5:
					s.told(s.begin("SCRAM-X", ""))
				case 6:
					s.told(s.begin("GSSAPI", encode64("x")))
				case 7: // gone in the middle
					s.told(login, s.more(encode64("root")))
					s.close()
				case 8: // the same, at once
					s.told(login)
					s.close()
				}
				s.quit()
			})
		}
		// Well-formed base64, but not what the mechanism wants: the server
		// answers that the authentication failed.
		for _, text := range []string{
			"root", "\x00root", "\x00root\x00", "\x00\x00wrong", "\x00root\x00wrong\x00x",
			"192.0.2.66\x00alice\x00wrong", ">, rip=192.0.2.66, lip=192.0.2.1\x00alice\x00wrong", "192.0.2.66\x00alice\x00" + password,
		} {
			add(func(c *doveClient) {
				s := c.open(proto)
				s.told(s.begin("PLAIN", encode64(text)))
				s.quit()
			})
		}
		if strings.HasSuffix(proto, "s") {
			continue
		}
		for _, mech := range doveMechs[:4] { // without TLS
			add(func(c *doveClient) {
				s := c.clear(proto)
				s.auth(mech, "alice", "wrong")
				s.quit()
			})
		}
		add(func(c *doveClient) { // not in the clear
			s := c.clear(proto)
			s.auth("CRAM-MD5", "alice", "wrong")
			s.quit()
		})
	}
}

// addDoveScans adds clients that never speak the protocol.
func addDoveScans(add func(func(*doveClient)), protos []string) {
	for _, proto := range protos {
		add(func(c *doveClient) { // honest, and only looks
			s := c.open(proto)
			s.quit()
		})
		add(func(c *doveClient) { // gone at once
			s := c.dial(proto)
			s.conn.Close()
			c.counts["scan"]++
		})
		add(func(c *doveClient) { // gone after the greeting
			s := c.dial(proto)
			if !strings.HasSuffix(proto, "s") {
				s.reply()
			}
			s.close()
			c.counts["scan"]++
		})
		add(func(c *doveClient) { // the same with a RST, but not before the server knows the address
			s := c.dial(proto)
			time.Sleep(time.Second)
			s.conn.(*net.TCPConn).SetLinger(0)
			s.close()
			c.counts["scan"]++
		})
		for _, text := range []string{
			"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: x, rip=192.0.2.66, lip=192.0.2.1\r\n\r\n",
			"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03junk",
			strings.Repeat("x\r\n", 20),
			"\x00\x00\x00\x00\r\n\x80\xff\r\n",
		} {
			add(func(c *doveClient) {
				s := c.dial(proto)
				io.WriteString(s.conn, text)
				s.conn.SetReadDeadline(time.Now().Add(2 * time.Second))
				io.Copy(io.Discard, s.conn)
				s.close()
				c.counts["scan"]++
			})
		}
	}
}

// doveHostile returns user names that could pass for something else.
func doveHostile() []string {
	const forged = ">, method=PLAIN, rip=192.0.2.66, lip=192.0.2.1, TLS, session=<x>"
	return []string{
		forged,
		"x" + forged,
		"x (auth failed, 99 attempts in 9 secs): user=<x" + forged,
		"x): user=<" + forged,
		"root,192.0.2.66,<x>): Password mismatch",
		"root,192.0.2.66,sasl:plain)<x>: passwd-file: Password mismatch",
		"x from 192.0.2.66 port 22 ssh2",
		"8.8.8.8]: SASL LOGIN authentication failed: authentication failure",
		"ban_smtpd[1]: pardon address=192.0.2.66",
		"x, rip=2001:db8:dead::66",
		"2001:db8:dead::66", "192.0.2.66", "<>", ">", "<", "(", ")", ",", ":", " ", "  ", "\"", "'", "\\", "%u", "%{user}", "%s%n",
		"x\nNov 21 00:00:00 mail dovecot: imap-login: Login: user=<x" + forged,
		"x\r\nx", "a\tb", "\x1b[2J\x07", "\x01\x02", "\x7f", "\xe9", "\xff\xfe", "\u202eecila", "名前", "ü",
		strings.Repeat("a", 79), strings.Repeat("a", 80), strings.Repeat("a", 81), strings.Repeat("a", 300),
		strings.Repeat("a", 70) + forged, strings.Repeat("\xff", 100), strings.Repeat(" ", 100),
		strings.Repeat("x, rip=192.0.2.66", 100),
		strings.Repeat("a", 2000), strings.Repeat("a", 8000),
		"alice@", "@", "@example.test", "alice ", " alice", "ALICE", "alice*bob", "alice\x00bob",
	}
}

// hostileUser fails as user in two ways.
func (c *doveClient) hostileUser(user string, i int, protos []string) {
	proto, mechs := protos[i%len(protos)], doveMechs[1:4]
	if len(user) > 1000 { // too much for a line of the others
		proto = "imap"
	}
	if strings.Contains(user, "\x00") { // LOGIN fails without any other trace
		mechs = doveMechs[1:2]
	}
	s := c.open(proto)
	for j := range 2 {
		if s.auth(mechs[(i+j)%len(mechs)], user, "wrong") == gone {
			break
		}
	}
	s.quit()
}

// hostileMech names a mechanism that there is not. Where the protocol has
// quotes, the name can have spaces.
func (c *doveClient) hostileMech(mech, proto string) {
	s := c.open(proto)
	switch s.proto {
	case "imap":
		s.told(s.begin(fmt.Sprintf("%q", mech), ""))
	case "pop3", "submission":
		s.told(s.begin(strings.ReplaceAll(mech, " ", ","), ""))
	default:
		s.told(s.begin(mech, ""))
	}
	s.quit()
}
