package daemons_test

import (
	"strings"
	"time"
)

// victim is the address, of some, that hostile text names. It never fails.
const victim = "192.0.2.66"

// hostileSMTP is text that could pass for something else in the log.
func hostileSMTP() []string {
	return []string{
		" ", `"`, "'", `\`, `\\`, "#011", "=", "<", ">", "<>", "[", "]", "[]", "[" + victim + "]", ",", ";", "%s%n%d", "$(reboot)", "`reboot`", "--", "-Fall",
		"x from " + victim + " port 22 ssh2",
		"root from " + victim,
		"x[" + victim + "]",
		"unknown[" + victim + "]: SASL LOGIN authentication failed: authentication failure",
		"8.8.8.8]: SASL LOGIN authentication failed: authentication failure",
		"x, sasl_username=y",
		"x authentication failed: authentication failure, sasl_username=root",
		"warning: unknown[" + victim + "]: SASL LOGIN authentication failed: authentication failure, sasl_username=root@example.test",
		"disconnect from unknown[" + victim + "] ehlo=1 auth=0/20 quit=1 commands=2/22",
		"connect from unknown[" + victim + "]",
		"lost connection after AUTH from unknown[" + victim + "]",
		"too many errors after AUTH from unknown[" + victim + "]",
		"NOQUEUE: reject: RCPT from unknown[" + victim + "]: 550 5.1.1 <x>: Recipient address rejected: User unknown in local recipient table",
		": Connection lost to authentication server",
		"generic failure", "x: generic failure", ", sasl_username=(unavailable)",
		">, method=PLAIN, rip=" + victim + ", lip=192.0.2.1, session=<x>",
		"imap-login: Disconnected (auth failed, 20 attempts in 2 secs): user=<x>, method=PLAIN, rip=" + victim + ", lip=192.0.2.1",
		"Failed password for root from " + victim + " port 22 ssh2",
		"0123456789abcdef smtp connected address=" + victim + " host=x",
		"ban_smtpd[1]: pardon address=" + victim,
		"pardon address=" + victim,
		"x\nNov 21 00:00:00 mail ban_smtpd[1]: pardon address=" + victim,
		"x\nNov 21 00:00:00 mail postfix/smtpd[1]: warning: unknown[" + victim + "]: SASL LOGIN authentication failed: authentication failure",
		"x\r\nwarning: unknown[" + victim + "]: SASL LOGIN authentication failed: authentication failure",
		"Nov 21 00:00:00 mail postfix/smtpd[1]: warning: unknown[" + victim + "]: SASL LOGIN authentication failed: authentication failure",
		"last message repeated 99 times", "message repeated 99 times: [ x]",
		"a\tb", "a\nb", "\r", "a\rb", "\a\b\x1b[2J", "\x01\x02\x7f",
		"\xe9", "\xff\xfe", "\xc2\xa0", "\xe2\x80\xa8x", "ü", "名前", "\u202eecila",
		strings.Repeat("a", 99), strings.Repeat("a", 100), strings.Repeat("a", 101), strings.Repeat("a", 254), strings.Repeat("a", 256),
		strings.Repeat("\xff", 300), strings.Repeat(" ", 300), strings.Repeat("]: SASL ", 60),
	}
}

// longSMTP is text beyond what one line of a command can hold.
func longSMTP() []string {
	return []string{
		strings.Repeat("a", 1000), strings.Repeat("a", 2000), strings.Repeat("a", 8000),
		strings.Repeat("]: SASL LOGIN authentication failed: authentication failure, sasl_username=", 60),
		strings.Repeat("x from "+victim+" port 22 ssh2 ", 40),
	}
}

// addSMTPHostile adds clients that want to be somebody else in the log.
func addSMTPHostile(add adder) {
	// As user names.
	for i, text := range hostileSMTP() {
		add(func(c *smtpClient) {
			s := c.somehow(i)
			s.auth("LOGIN", text, "wrong")
			s.auth("PLAIN", text, "wrong")
			s.quit()
		})
	}
	for i, text := range longSMTP() {
		add(func(c *smtpClient) {
			s := c.somehow(i)
			login := []string{"AUTH LOGIN", b64(text), b64("wrong")}
			plain := []string{"AUTH PLAIN", b64("\x00" + text + "\x00wrong")}
			if len(text) > 1024 { // Cyrus does not look at these
				s.abort(login...)
				s.abort(plain...)
			} else {
				s.judge(s.exchange(login...))
				s.judge(s.exchange(plain...))
			}
			s.quit()
		})
	}
	for i, text := range hostileSMTP() {
		if i%3 == 0 { // nor do passwords matter
			add(func(c *smtpClient) {
				s := c.somehow(i)
				s.auth("LOGIN", "root", text)
				s.auth("CRAM-MD5", text, text)
				s.quit()
			})
		}
		if i%2 == 0 {
			add(func(c *smtpClient) {
				s := c.open(2525, true)
				s.auth("LOGIN", text, "wrong")
				s.auth("PLAIN", text, "wrong")
				s.quit()
			}).dovecot = true
		}
	}
	add(func(c *smtpClient) { // no password, which is one
		s := c.open(465, false)
		s.auth("LOGIN", "root", "")
		s.auth("LOGIN", "", "")
		s.quit()
	})

	// As anything else. What has a line's end in it is two lines for SMTP, so
	// that the server answers twice, and the replies cannot be told apart.
	for _, text := range hostileSMTP() {
		if strings.ContainsAny(text, "\r\n") {
			continue
		}
		add(func(c *smtpClient) {
			s := c.dial(25)
			s.want("220", s.reply(), "greeting")
			s.cmd("EHLO " + text)
			s.cmd("HELO " + text)
			s.want("250", s.cmd("EHLO client.example.test"), "EHLO")
			s.refused(1, "root")
			if !strings.HasPrefix(text, " ") { // else it is a good one and more
				s.abort("AUTH " + text)
			}
			s.abort("AUTH PLAIN " + text)
			s.cmd("NOOP " + text)
			s.cmd("MAIL FROM:<" + text + ">")
			s.cmd("RSET")
			s.cmd("MAIL FROM:<x@elsewhere.test>")
			s.rcpt(text)
			s.rcpt(`"` + text + `"@example.test`)
			s.rcpt(text + "@elsewhere.test")
			s.cmd("RSET")
			s.quit()
		})
		add(func(c *smtpClient) { // a recipient, after a hostile HELO and sender
			s := c.dial(25)
			s.want("220", s.reply(), "greeting")
			s.cmd("HELO " + text)
			s.cmd(`MAIL FROM:<"` + text + `"@elsewhere.test>`)
			s.rcpt("nobody@example.test")
			s.cmd(`VRFY "` + text + `"@elsewhere.test`)
			s.quit()
		})
		add(func(c *smtpClient) { // a line that is no command at all, but then one that is
			s := c.dial(25)
			s.want("220", s.reply(), "greeting")
			reply := s.cmd(text)
			if strings.HasPrefix(reply, "221") { // what Postfix says to a bogus one
				s.did["scan"]++
			} else {
				s.cmd("EHLO client.example.test")
				s.refused(1, "root")
			}
			s.quit()
		})
	}
	for _, text := range []string{
		"GET /unknown[" + victim + "] HTTP/1.1",
		"GET / HTTP/1.1 warning: unknown[" + victim + "]: SASL LOGIN authentication failed: authentication failure",
		"POST /x disconnect from unknown[" + victim + "] ehlo=1 auth=0/20 quit=1 commands=2/22",
		"CONNECT " + victim + ":25 HTTP/1.0",
		"Nov 21 00:00:00 mail postfix/smtpd[1]: warning: unknown[" + victim + "]: SASL LOGIN authentication failed: authentication failure",
	} {
		for _, port := range []int{25, 2526} {
			add(func(c *smtpClient) {
				s := c.dial(port)
				s.want("220", s.reply(), "greeting")
				if reply := s.cmd(text); strings.HasPrefix(reply, "221") {
					s.did["scan"]++
				}
				s.quit()
			})
		}
		add(func(c *smtpClient) { // before the greeting
			s := c.dial(2526)
			s.cmd(text)
			s.reply()
			s.close()
			s.did["scan"]++
		})
	}
	addSMTPNames(add)
}

// addSMTPNames adds clients with reverse DNS of their own making.
func addSMTPNames(add adder) {
	for i, name := range []string{
		"not:liar.example.test", "not:mail.example.test", "not:localhost",
		"8.8.8.8", victim, "[" + victim + "]", "x[" + victim + "]", "x]:y", "_sasl_", "a_b.example.test", "-x-.example.test", "x..example.test",
		"unknown", "from", "x[" + victim + "]:_SASL_LOGIN_authentication_failed:_x", "ü.example.test", "2001:db8:dead::66",
		"x:" + victim, "x,sasl_username=root", strings.Repeat("a", 63) + ".test", strings.Repeat("a", 64) + ".test", strings.Repeat("a.", 120) + "test",
	} {
		c := add(func(c *smtpClient) {
			s := c.somehow(i)
			s.refused(2, "root")
			s.abort("AUTH PLAIN", "*")
			s.cmd("MAIL FROM:<>")
			s.rcpt("nobody@example.test")
			s.quit()
			s = c.dial(25)
			s.want("220", s.reply(), "greeting")
			s.close()
			s.did["scan"]++
		})
		c.name = name
		if strings.HasPrefix(name, "not:") { // of no class but for what it does
			c = add(func(c *smtpClient) {
				s := c.dial(25)
				s.want("220", s.reply(), "greeting")
				s.cmd("EHLO client.example.test")
				s.quit()
			})
			c.name = name
		}
	}
	add(func(c *smtpClient) { // slow, byte by byte
		s := c.open(25, false)
		for _, b := range []byte("AUTH PLAIN " + b64("\x00root\x00wrong") + "\r\n") {
			s.conn.Write([]byte{b})
			time.Sleep(10 * time.Millisecond)
		}
		s.judge(s.reply())
		s.quit()
	})
}
