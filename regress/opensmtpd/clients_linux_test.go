package opensmtpd_test

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// client is somebody at one address, who does one thing after the other.
type client struct {
	addr   netip.Addr
	do     func(*client)
	door   chan bool // see attack
	logins []login
	errs   []error
}

// login is an AUTH that was answered by 235 or 535.
type login struct {
	user string
	ok   bool
}

// failures is the number of logins that were refused.
func (c *client) failures() int {
	n := 0
	for _, l := range c.logins {
		if !l.ok {
			n++
		}
	}
	return n
}

// over says whether the client was ever over the limit. A success forgives the
// same user's failures before it, but not once the client is over the limit.
func (c *client) over() bool {
	sum, of := 0, map[string]int{}
	for _, l := range c.logins {
		if l.ok {
			sum, of[l.user] = sum-of[l.user], 0
			continue
		}
		sum++
		of[l.user]++
		if sum > tries {
			return true
		}
	}
	return false
}

// truth is what the clients were told.
type truth []*client

// failures returns a line "ADDRESS FAILURES" for each client that was refused.
func (t truth) failures() string {
	var b strings.Builder
	for _, c := range t {
		if n := c.failures(); n > 0 {
			fmt.Fprintln(&b, c.addr, n)
		}
	}
	return b.String()
}

// over returns a line "ADDRESS" for each client that was over the limit.
func (t truth) over() string {
	var b strings.Builder
	for _, c := range t {
		if c.over() {
			fmt.Fprintln(&b, c.addr)
		}
	}
	return b.String()
}

func (t truth) summary() string {
	failures, failed, over, ok := 0, 0, 0, 0
	for _, c := range t {
		n := c.failures()
		failures += n
		ok += len(c.logins) - n
		if n > 0 {
			failed++
		}
		if c.over() {
			over++
		}
	}
	return fmt.Sprintf("%d clients, of which %d failed and %d were over the limit; %d failures, %d successes",
		len(t), failed, over, failures, ok)
}

// attack lets all clients do what they do, and returns what they were told.
func attack() (truth, error) {
	all := clients()
	const atOnce = 100
	slots := make(chan bool, atOnce)
	// smtpd has a backlog of five, and what is over that may hang for long.
	door := make(chan bool, 4)
	var wg sync.WaitGroup
	for _, c := range all {
		slots <- true
		c.door = door
		wg.Go(func() {
			defer func() { <-slots }()
			c.do(c)
		})
	}
	wg.Wait()
	slices.SortFunc(all, func(a, b *client) int { return a.addr.Compare(b.addr) })
	var errs []error
	for _, c := range all {
		errs = append(errs, c.errs...)
	}
	return all, errors.Join(errs...)
}

// addresses returns those of all clients.
func addresses() []netip.Addr {
	var list []netip.Addr
	for _, c := range clients() {
		list = append(list, c.addr)
	}
	return list
}

// security is how a session is encrypted.
type security int

const (
	none security = iota
	startTLS
	smtps
)

// mechanism is how credentials are sent.
type mechanism int

const (
	plain      mechanism = iota // AUTH PLAIN with an initial response
	plainAsked                  // AUTH PLAIN without
	loginAsked                  // AUTH LOGIN
	mechanisms
)

// session is one connection. Once it is closed, each reply is 0.
type session struct {
	client *client
	conn   net.Conn
	r      *bufio.Reader
	err    error // why there are no more replies
}

// dial connects from the client's address, and no more.
func (c *client) dial(port int) *session {
	server := server4
	if c.addr.Is6() {
		server = server6
	}
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.addr, 0))}
	conn, err := d.Dial("tcp", netip.AddrPortFrom(server, uint16(port)).String())
	if err != nil {
		c.errs = append(c.errs, err)
		conn, _ = net.Pipe()
		conn.Close()
	}
	conn.SetDeadline(time.Now().Add(longest / 2))
	return &session{client: c, conn: conn, r: bufio.NewReader(conn)}
}

// open begins a session as an honest client does.
func (c *client) open(how security) *session {
	port := 25
	if how == smtps {
		port = 465
	}
	c.door <- true
	s := c.dial(port)
	if how == smtps {
		s.encrypt()
	}
	s.want(220, s.reply(), "greeting")
	<-c.door
	s.want(250, s.cmd("EHLO client.example.test"), "EHLO")
	if how == startTLS {
		s.want(220, s.cmd("STARTTLS"), "STARTTLS")
		s.encrypt()
		s.want(250, s.cmd("EHLO client.example.test"), "EHLO")
	}
	return s
}

func (s *session) encrypt() {
	s.conn = tls.Client(s.conn, &tls.Config{InsecureSkipVerify: true})
	s.r.Reset(s.conn)
}

func (s *session) close() { s.conn.Close() }

func (s *session) quit() {
	s.cmd("QUIT")
	s.close()
}

// want complains if the server did not answer as expected.
func (s *session) want(want, got int, what string) {
	if got != want {
		s.client.errs = append(s.client.errs, fmt.Errorf("%v: %s: server answered %d, want %d (%v)", s.client.addr, what, got, want, s.err))
	}
}

// cmd sends a line and returns the code of the reply to it.
func (s *session) cmd(line string) int {
	io.WriteString(s.conn, line+"\r\n")
	return s.reply()
}

// reply returns the code of the next reply, 0 if there is none any more.
func (s *session) reply() int {
	for {
		line, err := s.r.ReadString('\n')
		if err != nil || len(line) < 4 {
			s.err = cmp.Or(s.err, err)
			return 0
		}
		var code int
		fmt.Sscan(line[:3], &code)
		if line[3] != '-' {
			return code
		}
	}
}

// auth tries to log in and returns the code of the last reply.
func (s *session) auth(how mechanism, user, pass string) int {
	credentials := encode("\x00" + user + "\x00" + pass)
	switch how {
	case plain:
		return s.told(user, "AUTH PLAIN "+credentials)
	case plainAsked:
		return s.told(user, "AUTH PLAIN", credentials)
	default:
		return s.told(user, "AUTH LOGIN", encode(user), encode(pass))
	}
}

// told sends the lines of an AUTH, as long as the server asks for more, and
// remembers what it says in the end. This is where the truth comes from.
func (s *session) told(user string, lines ...string) int {
	code := 334
	for _, line := range lines {
		if code == 334 {
			code = s.cmd(line)
		}
	}
	switch code {
	case 235:
		s.client.logins = append(s.client.logins, login{user, true})
	case 535:
		s.client.logins = append(s.client.logins, login{user, false})
	}
	return code
}

// fail fails n times as a user.
func (s *session) fail(n int, user string) {
	for i := range n {
		s.want(535, s.auth(mechanism(i)%mechanisms, user, "wrong"), "wrong password")
	}
}

// succeed logs in.
func (s *session) succeed(how mechanism, user string) {
	s.want(235, s.auth(how, user, password), "right password")
}

func encode(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// users are those that exist.
var users = []string{"alice", "bob", "carol@example.test"}

// hosts is the reverse DNS of some clients: what somebody would write there who
// controls it.
func hosts() string {
	return `198.51.100.1 client.example.test
203.0.113.1 8.8.8.8
2001:db8:1::1 result=permfail
198.51.100.2 smtp_connected
203.0.113.2 x"host=y
2001:db8:2::1 address=8.8.8.8
`
}

// clients returns all clients. Their addresses are from the three ranges for
// documentation in turn, each IPv6 address in a /64 of its own.
func clients() []*client {
	var all []*client
	add := func(do func(*client)) {
		n := len(all)/3 + 1
		addr := fmt.Sprintf("198.51.100.%d", n)
		switch len(all) % 3 {
		case 1:
			addr = fmt.Sprintf("203.0.113.%d", n)
		case 2:
			addr = fmt.Sprintf("2001:db8:%x::1", n)
		}
		all = append(all, &client{addr: netip.MustParseAddr(addr), do: do})
	}

	addBots(add)
	addLimits(add)
	for i, user := range hostileUsers() {
		add(func(c *client) { c.hostileUser(user, i) })
	}
	add(func(c *client) { // as all of them, in one session
		s := c.open(startTLS)
		for _, user := range hostileUsers() {
			if len(user) < 200 {
				s.auth(loginAsked, user, "wrong")
			}
		}
		s.quit()
	})
	for i, text := range hostileLines() {
		forgeries := 1
		if i < 3 {
			forgeries = tries + 2
		}
		add(func(c *client) { c.hostileLine(text, forgeries) })
		if len(text) < 500 { // the log is kept, and long lines make it large
			add(func(c *client) { c.hostileLogin(text) })
		}
	}
	addUnfinished(add)

	// Two clients in one /64, neither over the limit by itself.
	for _, addr := range []string{"2001:db8:64:64::1", "2001:db8:64:64:8000::2"} {
		all = append(all, &client{addr: netip.MustParseAddr(addr), do: func(c *client) {
			s := c.open(smtps)
			s.fail(6, "root")
			s.quit()
		}})
	}
	return all
}

// addBots adds the usual: wrong passwords, in each way that there is to send
// them, and honest users.
func addBots(add func(func(*client))) {
	names := []string{"root", "admin", "alice", "info@example.test", "bob"}
	for i := range 18 {
		how, user := startTLS+security(i/3%2), names[i%len(names)]
		add(func(c *client) {
			s := c.open(how)
			for j := range 1 + i%4 {
				s.want(535, s.auth(mechanism(i/6+j)%mechanisms, user, "wrong"), "wrong password")
			}
			if i%2 == 0 {
				s.quit()
			} else {
				s.close()
			}
		})
	}
	for i := range 9 {
		how := startTLS + security(i/3%2)
		add(func(c *client) { // honest, some after a slip
			s := c.open(how)
			s.fail(i%3, users[i%3])
			s.succeed(mechanism(i/3), users[i%3])
			s.want(503, s.cmd("AUTH PLAIN "+encode("\x00root\x00wrong")), "a second AUTH")
			s.want(250, s.cmd("MAIL FROM:<alice@example.test>"), "MAIL")
			s.want(250, s.cmd("RCPT TO:<somebody@example.test>"), "RCPT")
			s.want(354, s.cmd("DATA"), "DATA")
			s.want(250, s.cmd("Subject: x smtp authentication user=x result=permfail\r\n\r\nx\r\n."), "text")
			s.quit()
		})
	}
}

// addLimits adds clients on both sides of the limit, and what is forgiven.
func addLimits(add func(func(*client))) {
	failing := func(parts ...int) { // so many in each session
		add(func(c *client) {
			for i, n := range parts {
				s := c.open(startTLS + security(i%2))
				s.fail(n, "root")
				s.quit()
			}
		})
	}
	failing(10)
	failing(11)
	failing(12)
	failing(5, 5)
	failing(5, 6)
	failing(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)

	// so many failures as alice, a success as somebody, and so many more
	around := func(before int, who string, after int) {
		add(func(c *client) {
			s := c.open(smtps)
			s.fail(before, "alice")
			s.succeed(plain, who)
			s.quit()
			s = c.open(startTLS)
			s.fail(after, "alice")
			s.quit()
		})
	}
	around(10, "alice", 5)
	around(10, "alice", 10)
	around(10, "alice", 11)
	around(11, "alice", 1)
	around(6, "alice", 5)
	around(6, "bob", 5)
	around(6, "bob", 4)
	around(10, "bob", 1)

	add(func(c *client) { // a stolen account does not wash the other names clean
		s := c.open(startTLS)
		for _, user := range []string{"root", "admin", "info", "root", "admin", "info", "root", "bob", "bob"} {
			s.fail(1, user)
		}
		s.succeed(loginAsked, "bob")
		s.quit()
		s = c.open(startTLS)
		s.fail(3, "test") // 10
		s.quit()
	})
	add(func(c *client) { // two sessions at once
		s1, s2 := c.open(startTLS), c.open(smtps)
		for range 3 {
			s1.fail(2, "root")
			s2.fail(2, "admin")
		}
		s2.close()
		s1.quit()
	})
}

// hostileUsers returns names that could pass for something else in the log.
func hostileUsers() []string {
	const line = "0123456789abcdef smtp connected address=8.8.8.8 host=x"
	return []string{
		"", " ", "  ", "alice ", "ALICE", `"`, `""`, "'", "=", "a=b", "<", ">", "[", "]", `\`, `\\`, `\040`, "#011", "%s%n%d",
		"[198.51.100.9]", "$(reboot)", "`reboot`", "--", "-Fall", "a,b;c|d&e",
		"result=ok", "result=permfail", " result=permfail", "user result=permfail", "x result=ok", "user=x result=ok",
		`x" result="535 Authentication failed"`,
		"x address=8.8.8.8 host=x result=permfail",
		"x smtp connected address=8.8.8.8 host=x",
		line, "\n" + line, "x\nNov 21 00:00:00 mail smtpd[20]: " + line, "x\r\n" + line,
		"\t", "\tresult=ok", "a\tb", "a\nb", "\r", "a\rb", "\a", "\b", "\b\b\b\b\bx", "\x1b[2J\x1b]0;x\a", "\x01\x02", "\x7f",
		"\xe9", "\xff\xfe", "\xc2\xa0", "\xe2\x80\xa8x", "ü", "名前", "\u202eecila",
		strings.Repeat("a", 254), strings.Repeat("a", 255), strings.Repeat("a", 256), strings.Repeat("a", 1000),
		strings.Repeat(" ", 63), strings.Repeat(" ", 64), strings.Repeat(" ", 255),
		strings.Repeat("\xff", 255), strings.Repeat(`\`, 255), strings.Repeat(`"`, 255),
		strings.Repeat("a", 240) + " result=ok", strings.Repeat("a", 230) + " result=permfail",
	}
}

// hostileUser fails as user in two ways. Some names the server does not try.
func (c *client) hostileUser(user string, i int) {
	s := c.open(startTLS + security(i%2))
	for j := range 2 {
		if s.auth(mechanism(i+j)%mechanisms, user, "wrong") == 0 {
			break
		}
	}
	s.quit()
}

// hostileLines returns what clients send in place of a command, a HELO name, a
// mechanism or an address.
func hostileLines() []string {
	const line = `0123456789abcdef smtp connected address=8.8.8.8 host=x`
	return []string{
		`8.8.4.4" smtp connected z`,
		`8.8.8.8" smtp connected address=8.8.8.8 host=x`,
		`x smtp connected y`,
		`-Fall" smtp connected y`,
		`-d" smtp connected y`,
		`self" smtp connected y`,
		`0.0.0.0/0" smtp connected y`,
		`!203.0.113.1" smtp connected y`,
		`no.such.name" smtp connected y`,
		`[2001:db8:1::1]" smtp connected y`,
		line,
		"x\n" + line,
		"x\nNov 21 00:00:00 mail smtpd[20]: " + line,
		"Nov 21 00:00:00 mail smtpd[20]: " + line,
		`x smtp authentication user=alice result=ok`,
		`x smtp authentication user=alice result=permfail`,
		`" result="535 Authentication failed"`,
		`x smtp disconnected reason=quit`,
		`last message repeated 99 times`,
		`message repeated 99 times: [ x smtp authentication user=x result=permfail]`,
		"a\tb\tsmtp\tconnected\taddress=8.8.8.8",
		"a\x00b", "\x00", "a\rb", "\x1b[2J\a\b", "\xff\xfe\xe9", `\`, `"`, "", " ", "%s%n%d",
		strings.Repeat("x smtp connected ", 117), // 2 KB
		strings.Repeat(`"`, 2000),
		strings.Repeat(`\`, 1000),
		strings.Repeat("\xff", 1000),
		strings.Repeat("A", 3000),
	}
}

// forged is what a failed login looks like to whoever searches a line for it.
const forged = "x smtp authentication user=x result=permfail"

// hostileLine sends text wherever it can be sent without TLS, and no password.
func (c *client) hostileLine(text string, forgeries int) {
	s := c.dial(25)
	s.want(220, s.reply(), "greeting")
	s.cmd(text)
	for range forgeries {
		s.cmd(forged)
	}
	for _, before := range []string{"HELO ", "EHLO ", "STARTTLS "} {
		if len(text) < 500 {
			s.cmd(before + text)
		}
	}
	s.quit()
}

// hostileLogin fails, sends text wherever it can be sent after STARTTLS, and
// fails again if the server is still there.
func (c *client) hostileLogin(text string) {
	s := c.open(startTLS)
	s.fail(1, "root")
	s.cmd(text)
	s.cmd(forged)
	s.told(text, "AUTH "+text)
	s.told(text, "AUTH PLAIN "+text)
	s.cmd("MAIL FROM:<" + text + "@example.test>")
	s.cmd("MAIL FROM:<alice@example.test>")
	s.cmd("RCPT TO:<" + text + "@example.test>")
	s.cmd("RSET") // no AUTH inside a transaction
	s.auth(loginAsked, "root", "wrong")
	s.quit()
}

// addUnfinished adds clients most of whose logins never get so far that a
// password is checked, and which fail properly before or after.
func addUnfinished(add func(func(*client))) {
	// An AUTH that is offered, but not completed.
	for _, lines := range [][]string{
		{"AUTH PLAIN", "*"},
		{"AUTH LOGIN", "*"},
		{"AUTH LOGIN", encode("root"), "*"},
		{"AUTH PLAIN ====="},
		{"AUTH PLAIN not base64!"},
		{"AUTH PLAIN", "not base64!"},
		{"AUTH PLAIN " + encode("root")},
		{"AUTH PLAIN " + encode("\x00root")},
		{"AUTH PLAIN " + encode("")},
		{"AUTH PLAIN " + encode("\x00root\x00")},
		{"AUTH PLAIN " + encode("\x00root\x00x")},
		{"AUTH PLAIN " + encode("\x00\x00wrong")},
		{"AUTH PLAIN " + encode("8.8.8.8\x00root\x00wrong")},
		{"AUTH PLAIN " + encode("\x00root\x00wrong\x00x")},
		{"AUTH LOGIN " + encode("root"), encode("wrong")},
		{"AUTH LOGIN", "not base64!"},
		{"AUTH LOGIN", encode("root"), "not base64!"},
		{"AUTH LOGIN", encode("root\x00x"), encode("wrong")},
		{"AUTH LOGIN", encode("root"), encode("")},
		{"AUTH LOGIN", encode(""), encode("")},
		{"AUTH LOGIN", "", ""},
		{"AUTH CRAM-MD5"},
		{"AUTH"},
		{"AUTH "},
		{`AUTH X" result="535 Authentication failed"`},
		{"AUTH PLAIN " + encode("\x00root\x00"+strings.Repeat("x", 255))},
		{"AUTH PLAIN " + encode("\x00root\x00"+strings.Repeat("x", 3000))},
		{"auth plain " + encode("\x00root\x00wrong")},
		{"AUTH PLAIN  " + encode("\x00root\x00wrong")},
		{"AUTH PLAIN " + encode("\x00root\x00wrong") + " "},
	} {
		add(func(c *client) {
			s := c.open(smtps)
			s.told("root", lines...)
			s.auth(plain, "root", "wrong")
			s.quit()
		})
	}

	for i := range mechanisms { // not offered: no TLS
		add(func(c *client) {
			s := c.open(none)
			s.want(503, s.auth(i, "root", "wrong"), "AUTH without TLS")
			s.quit()
		})
	}
	add(func(c *client) { // commands in one packet
		s := c.open(startTLS)
		s.fail(1, "root")
		auth := "AUTH PLAIN " + encode("\x00root\x00wrong")
		s.told("root", auth+"\r\n"+auth+"\r\n"+auth)
		s.quit()
	})
	add(func(c *client) { // the same, before TLS
		s := c.open(none)
		s.cmd("STARTTLS\r\nAUTH PLAIN " + encode("\x00root\x00wrong"))
		s.close()
	})
	add(func(c *client) { // never speaks
		s := c.dial(25)
		time.Sleep(2 * time.Second)
		s.close()
	})
	add(func(c *client) { // the same on the port that expects TLS
		s := c.dial(465)
		time.Sleep(2 * time.Second)
		s.close()
	})
	for _, port := range []int{25, 465} {
		add(func(c *client) { // gone at once
			for range 5 {
				c.dial(port).close()
			}
		})
		add(func(c *client) { // gone at once, with a RST
			s := c.dial(port)
			s.conn.(*net.TCPConn).SetLinger(0)
			s.close()
		})
		add(func(c *client) { // bytes without an end
			s := c.dial(port)
			s.conn.Write(bytes.Repeat([]byte("x"), 100_000))
			s.reply()
			s.close()
		})
		add(func(c *client) { // another protocol
			s := c.dial(port)
			io.WriteString(s.conn, "GET /x smtp connected address=8.8.8.8 host=x HTTP/1.1\r\nHost: x\r\n\r\n")
			s.reply()
			s.reply()
			s.close()
		})
	}
	add(func(c *client) { // no TLS after STARTTLS
		s := c.open(none)
		s.want(220, s.cmd("STARTTLS"), "STARTTLS")
		s.cmd("x smtp authentication user=x result=permfail")
		s.close()
	})
	add(func(c *client) { // gone in the middle of an AUTH
		s := c.open(smtps)
		s.fail(1, "root")
		s.want(334, s.cmd("AUTH LOGIN"), "AUTH LOGIN")
		s.want(334, s.cmd(encode("root")), "user")
		s.close()
	})
	for i := range mechanisms {
		// Gone with the last word of an AUTH: a right password is answered at
		// once, so that a client need not wait for the bad news, which takes up
		// to a second. The server has logged the failure before that second.
		add(func(c *client) {
			s := c.open(smtps)
			last := "AUTH PLAIN " + encode("\x00root\x00wrong")
			switch i {
			case plainAsked:
				s.want(334, s.cmd("AUTH PLAIN"), "AUTH PLAIN")
				last = encode("\x00root\x00wrong")
			case loginAsked:
				s.want(334, s.cmd("AUTH LOGIN"), "AUTH LOGIN")
				s.want(334, s.cmd(encode("root")), "user")
				last = encode("wrong")
			}
			io.WriteString(s.conn, last+"\r\n")
			s.close()
			c.logins = append(c.logins, login{"root", false})
		})
	}
	add(func(c *client) { // STARTTLS twice, HELO in between: AUTH stays what it was
		s := c.open(startTLS)
		s.fail(1, "root")
		s.cmd("STARTTLS")
		s.cmd("HELO x")
		s.auth(plain, "root", "wrong")
		s.cmd("EHLO x")
		s.auth(plain, "root", "wrong")
		s.quit()
	})
}
