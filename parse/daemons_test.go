package parse

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// one checks what a line with that tag says: "KIND [CLASS] EACH ADDRESS USER",
// or nothing.
func one(t *testing.T, tag, msg, want string) {
	t.Helper()
	c := parseText("Nov 20 10:00:00 mail " + tag + ": " + msg + "\n")
	got := ""
	for _, e := range c.Events {
		kind, _, _ := strings.Cut(e.String(), " ")
		got += kind + " "
		if e.Class == nothing {
			got += "nothing "
		} else {
			got += ClassNames[e.Class] + " "
		}
		got += string(rune('0'+e.Each)) + " " + e.Addr.String() + " " + string(e.User)
	}
	if got = strings.TrimSpace(got); got != want {
		t.Errorf("%s: %s:\n got %q\nwant %q", tag, msg, got, want)
	}
}

func TestPostfix(t *testing.T) {
	const client = "unknown[203.0.113.7]"
	for _, tt := range []struct{ msg, want string }{
		{"connect from " + client, ""},
		{"warning: " + client + ": SASL LOGIN authentication failed: authentication failure, sasl_username=bob", "failure auth 1 203.0.113.7 bob"},
		{"warning: mail.example.org[2001:db8::1]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=bob", "failure auth 1 2001:db8::1 bob"},
		{"warning: " + client + ": SASL LOGIN authentication failed: UGFzc3dvcmQ6", "failure auth 1 203.0.113.7"},
		{"warning: " + client + ": SASL LOGIN authentication failed: VXNlcm5hbWU6", "failure abort 1 203.0.113.7"}, // a postfix of 2.x to 3.8
		{"warning: " + client + ": SASL PLAIN authentication failed: VXNlcm5hbWU6", "failure auth 1 203.0.113.7"},  // left from the attempt before
		{"warning: " + client + ": SASL CRAM-MD5 authentication failed: PDc3OTEwNTkyNTEyMzA2NDIuMTIyODI1MzA2MUBoZWw+", "failure auth 1 203.0.113.7"},
		{"warning: " + client + ": SASL LOGIN authentication failed: Authentication request timed out, sasl_username=(unavailable)", "failure abort 1 203.0.113.7"},
		{"warning: " + client + ": SASL LOGIN authentication failed: Authentication backend error", "failure nothing 1 203.0.113.7"},
		{"warning: " + client + ": SASL LOGIN authentication failed", "failure auth 1 203.0.113.7"}, // 2.2
		{"warning: " + client + ": SASL LOGIN authentication failed:", "failure auth 1 203.0.113.7"},
		{"warning: " + client + ":40001: SASL LOGIN authentication failed: authentication failure, sasl_username=bob", "failure auth 1 203.0.113.7 bob"},
		{"warning: " + client + ": SASL x]:[8.8.8.8]: authentication failed: authentication failure, sasl_username=bob", "failure auth 1 203.0.113.7 bob"},
		{"warning: " + client + ": SASL PLAIN authentication failed: authentication failure, sasl_username=x[8.8.8.8]: SASL LOGIN authentication failed: generic failure", "failure auth 1 203.0.113.7 x[8.8.8.8]: SASL LOGIN authentication failed: generic failure"},
		{"warning: " + client + ": SASL LOGIN authentication failed: generic failure, sasl_username=bob", "failure nothing 1 203.0.113.7 bob"},
		{"warning: " + client + ": SASL LOGIN authentication failed: Connection lost to authentication server", "failure nothing 1 203.0.113.7"},
		{"warning: " + client + ": SASL LOGIN authentication failed: no mechanism available, sasl_username=(unavailable)", "failure abort 1 203.0.113.7"},
		{"warning: " + client + ": SASL LOGIN authentication failed: bad protocol / cancel", "failure abort 1 203.0.113.7"},
		{"warning: " + client + ": SASL LOGIN authentication aborted", "failure abort 1 203.0.113.7"},
		{"warning: SASL authentication failure: Password verification failed", ""},
		{"warning: x " + client + ": SASL LOGIN authentication failed: authentication failure", ""},
		{"warning: unknown[203.0.113]: SASL LOGIN authentication failed: authentication failure", ""},
		{"warning: hostname x does not resolve to address 203.0.113.7: Name or service not known", ""},
		{"warning: Illegal address syntax from " + client + " in MAIL command: <x>", ""},
		{"warning: non-SMTP command from " + client + ": GET / HTTP/1.1", "hint scan 1 203.0.113.7"},
		{"lost connection after AUTH from " + client, "hint abort 1 203.0.113.7"},
		{"NOQUEUE: lost connection after AUTH from " + client, "hint abort 1 203.0.113.7"},
		{"too many errors after AUTH from " + client, "hint abort 1 203.0.113.7"},
		{"lost connection after CONNECT from " + client, "hint scan 1 203.0.113.7"},
		{"timeout after EHLO from " + client, "hint scan 1 203.0.113.7"},
		{"lost connection after DATA (1234 bytes) from " + client, ""},
		{"lost connection after RCPT from " + client, ""},
		{"improper command pipelining after CONNECT from " + client + ": x", "hint scan 1 203.0.113.7"},
		{"improper command pipelining after EHLO from " + client + ": x", ""},
		{"SSL_accept error from " + client + ": lost connection", "hint scan 1 203.0.113.7"},
		{"disconnect from " + client, "disconnect auth 0 203.0.113.7"},
		{"disconnect from " + client + " ehlo=2 starttls=1 auth=1/4 quit=1 commands=5/8", "disconnect abort 3 203.0.113.7"},
		{"disconnect from " + client + " ehlo=1 auth=1 mail=1 commands=3", "disconnect abort 0 203.0.113.7"},
		{"4Nq1Xk0z2Lz: client=" + client + ", sasl_method=PLAIN, sasl_username=bob@example.org", "success auth 1 203.0.113.7 bob@example.org"},
		{"4Nq1Xk0z2Lz: client=" + client + ", sasl_method=PLAIN, sasl_username=bob, sasl_sender=<x>", "success auth 1 203.0.113.7 bob"},
		{"4Nq1Xk0z2Lz: client=" + client, ""},
		{"NOQUEUE: reject: RCPT from " + client + ": 550 5.1.1 <x@example.org>: Recipient address rejected: User unknown in local recipient table; from=<> to=<x@example.org> proto=SMTP helo=<x>", "failure harvest 1 203.0.113.7"},
		{"NOQUEUE: reject: RCPT from " + client + ": 450 4.1.1 <x@example.org>: Recipient address rejected: unverified address", ""},
		{"NOQUEUE: reject: RCPT from " + client + ": 554 5.7.1 <550 5.1.1 @x>: Relay access denied", ""},
		{"NOQUEUE: reject: RCPT from " + client + ": 450 4.7.25 Client host rejected: cannot find your hostname, [203.0.113.7]", ""},
	} {
		for _, tag := range []string{"postfix/smtpd[20]", "postfix/submission/smtpd[20]", "postfix-mx3/smtpd[20]"} {
			one(t, tag, tt.msg, tt.want)
		}
	}
	const failed = "warning: " + client + ": SASL LOGIN authentication failed: authentication failure"
	for _, tag := range []string{"smtpd[20]", "postfix/smtp[20]", "postfix/smtpd-x[20]", "postfix/cleanup[20]", "sshd[20]"} {
		one(t, tag, failed, "")
	}
}

func TestDovecot(t *testing.T) {
	const client = "rip=203.0.113.7, lip=192.0.2.1, TLS, session=<vXh9d8RgxbzGEwFR>"
	for _, tt := range []struct{ msg, want string }{
		{"imap-login: Disconnected: Connection closed (auth failed, 3 attempts in 9 secs): user=<bob>, method=PLAIN, " + client, "failure auth 3 203.0.113.7 bob"},
		{"pop3-login: Login aborted: Logged out (auth failed, 2 attempts in 4 secs) (auth_failed): user=<bob>, method=PLAIN, " + client, "failure auth 2 203.0.113.7 bob"},
		{"imap-login: Aborted login (auth failed, 1 attempts in 2 secs): user=<bob>, method=PLAIN, rip=2001:db8::1, lip=2001:db8::2", "failure auth 1 2001:db8::1 bob"},
		{"imap-login: Disconnected (auth failed, 1 attempts): user=<bob>, method=PLAIN, rip=203.0.113.7, lip=192.0.2.1", "failure auth 1 203.0.113.7 bob"},
		{"managesieve-login: Disconnected: Inactivity (auth failed, 1 attempts in 180 secs): user=<bob>, method=PLAIN, " + client, "failure auth 1 203.0.113.7 bob"},
		{"imap-login: Disconnected: Connection closed (auth failed, 1 attempts in 2 secs): user=<x>, method=PLAIN, rip=8.8.8.8, lip=192.0.2.1, session=<x>, method=PLAIN, " + client, "failure auth 1 203.0.113.7 x>, method=PLAIN, rip=8.8.8.8, lip=192.0.2.1, session=<x"},
		{"imap-login: Disconnected: Connection closed (auth failed, 1 attempts in 2 secs): user=<x (auth failed, 9 attempts in 1 secs): user=<y>, method=PLAIN, " + client, "failure auth 1 203.0.113.7 x (auth failed, 9 attempts in 1 secs): user=<y"},
		{"imap-login: Disconnected: Aborted login by logging out (auth failed, 1 attempts in 0 secs): user=<>, " + client, "failure abort 1 203.0.113.7"},
		{"imap-login: Disconnected: Aborted login by logging out (tried to use disallowed plaintext auth): user=<>, " + client, "failure abort 1 203.0.113.7"},
		{"imap-login: Disconnected: Connection closed (client didn't finish SASL auth, waited 1 secs): user=<>, method=PLAIN, " + client, "failure abort 1 203.0.113.7"},
		{"imap-login: Login aborted: Logged out (auth aborted by client, 2 attempts in 4 secs) (auth_aborted_by_client): user=<>, method=LOGIN, " + client, "failure abort 2 203.0.113.7"},
		{"imap-login: Disconnected: Aborted login by logging out (sent invalid base64 in response): user=<>, method=PLAIN, " + client, "failure abort 1 203.0.113.7"},
		{"imap-login: Disconnected: Aborted login by logging out (auth service reported temporary failure): user=<bob>, method=PLAIN, " + client, ""},
		{"imap-login: Disconnected: Aborted login by logging out (internal failure, 1 successful auths): user=<bob>, method=PLAIN, " + client, ""},
		{"imap-login: Disconnected: Aborted login by logging out (no auth attempts in 0 secs): user=<>, " + client, ""},
		{"imap-login: Disconnected: Connection closed (no auth attempts in 0 secs): user=<>, " + client, "failure scan 1 203.0.113.7"},
		{"imap-login: Disconnected: Inactivity (no auth attempts in 180 secs): user=<>, " + client, "failure scan 1 203.0.113.7"},
		{"imap-login: Authenticate X)_(AUTH,FAILED, failed: Unsupported authentication mechanism.: user=<>, method=X, " + client, ""},
		{"imap-login: Login: user=<bob>, method=PLAIN, rip=203.0.113.7, lip=192.0.2.1, mpid=7, TLS, session=<x>", "success auth 1 203.0.113.7 bob"},
		{"imap-login: Logged in: user=<bob>, method=PLAIN, rip=203.0.113.7, lip=192.0.2.1, mpid=7, TLS, session=<x>", "success auth 1 203.0.113.7 bob"},
		// fail2ban's samples, of 1.2 to 2.4.
		{"imap-login: Disconnected (auth failed, 1 attempts): method=PLAIN, rip=203.0.113.7, lip=192.0.2.1, TLS: Disconnected", "failure auth 1 203.0.113.7"},
		{"pop3-login: Aborted login (tried to use disabled plaintext auth): rip=203.0.113.7, lip=192.0.2.1", "failure abort 1 203.0.113.7"},
		{"pop3-login: Disconnected: Inactivity (no auth attempts): rip=203.0.113.7, lip=192.0.2.1, TLS", "failure scan 1 203.0.113.7"},
		{"pop3-login: Disconnected: rip=203.0.113.7, lip=192.0.2.1", ""},
		{"submission-login: Client has quit the connection (auth failed, 2 attempts in 2 secs): user=<bob>, method=LOGIN, " + client, "failure auth 2 203.0.113.7 bob"},
		{"submission-login: Remote closed connection (auth failed, 1 attempts in 2 secs): user=<bob>, method=PLAIN, " + client, "failure auth 1 203.0.113.7 bob"},
		{"imap-login: Disconnected (proxy dest auth failed): user=<bob>, method=PLAIN, " + client, ""},
		{"pop3-login: proxy: Logging in to 192.0.2.9:110 timed out (state=0, duration=180s) (internal failure, 4 successful auths): user=<bob>, method=PLAIN, " + client, ""},
		{"pop3-login: proxy: Logging in to 192.0.2.9:110 timed out (state=0, duration=180s) (auth failed, 1 attempts): user=<bob>, method=PLAIN, " + client, ""},
		// CrowdSec's, of docker-mailserver.
		{"pop3-login: Info: Disconnected: Connection closed (auth failed, 2 attempts in 30 secs): user=<bob>, method=PLAIN, " + client, "failure auth 2 203.0.113.7 bob"},
		// The history of client-common.c.
		{"imap-login: Disconnected (user disabled): user=<bob>, method=PLAIN, " + client, "failure auth 1 203.0.113.7 bob"},
		{"imap-login: Login aborted: Connection closed (user disabled, 2 attempts in 4 secs) (user_disabled): user=<bob>, method=PLAIN, " + client, "failure auth 2 203.0.113.7 bob"},
		{"imap-login: Login aborted: Connection closed (auth failed, 1/3 successful auths in 4 secs) (auth_failed): user=<bob>, method=PLAIN, " + client, "failure auth 2 203.0.113.7 bob"},
		{"imap-login: Disconnected (disconnected while authenticating, waited 3 secs): user=<>, method=PLAIN, " + client, "failure abort 1 203.0.113.7"},
		{"imap-login: Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10): user=<bob>, method=PLAIN, " + client, ""},
		{"imap(bob)<1><x>: Disconnected: Logged out in=1 out=2", ""},
		{"auth: passwd-file(bob,203.0.113.7,<vXh9d8RgxbzGEwFR>): Password mismatch", ""},
		{"auth-worker(7): pam(bob,203.0.113.7): pam_authenticate() failed: Authentication failure (password mismatch?)", ""},
		{"auth: pam_unix(dovecot:auth): authentication failure; logname= uid=0 euid=0 tty=dovecot ruser=bob rhost=203.0.113.7", ""},
		{"imap-login: Disconnected: Connection closed (auth failed, 1 attempts in 2 secs): user=<bob>, method=PLAIN, rip=203.0.113.7", ""},
	} {
		for _, tag := range []string{"dovecot", "dovecot[7]"} {
			one(t, tag, tt.msg, tt.want)
		}
	}
	one(t, "imap-login", "Info: Disconnected: Inactivity (auth failed, 2 attempts in 9 secs): user=<bob>, method=PLAIN, "+client, "failure auth 2 203.0.113.7 bob")
}

func TestSaslauthd(t *testing.T) {
	const pad = "                "
	one(t, "saslauthd[7]", pad+": auth failure: [user=bob] [service=smtp] [realm=x] [mech=pam] [reason=PAM auth error]", "anonymous auth 1 invalid IP")
	one(t, "saslauthd[7]", "do_auth         : auth failure: [user=203.0.113.7]", "anonymous auth 1 invalid IP")
	one(t, "saslauthd[7]", "DEBUG: auth_pam: pam_authenticate failed: Authentication failure", "")
}

func TestSSHD(t *testing.T) {
	const client = "203.0.113.7 port 40001"
	for _, tt := range []struct{ msg, want string }{
		{"Failed password for bob from " + client + " ssh2", "failure auth 1 203.0.113.7 bob"},
		{"Failed password for invalid user bob from 2001:db8::1 port 40001 ssh2", "failure auth 1 2001:db8::1 bob"},
		{"Failed password for invalid user  from " + client + " ssh2", "failure auth 1 203.0.113.7"},
		{"Failed password for invalid user x from 8.8.8.8 port 22 ssh2 from " + client + " ssh2", "failure auth 1 203.0.113.7 x from 8.8.8.8 port 22 ssh2"},
		{"Failed keyboard-interactive/pam for bob from " + client + " ssh2", "echo auth 1 203.0.113.7 bob"},
		{"Failed none for invalid user bob from " + client + " ssh2", "failure auth 1 203.0.113.7 bob"},
		{"Failed publickey for bob from " + client + " ssh2: RSA SHA256:abc", "failure auth 1 203.0.113.7 bob"},
		{"Failed publickey for bob from " + client + " ssh2: ED25519-CERT SHA256:abc ID x from 8.8.8.8 port 22 ssh2 (serial 0) CA ED25519 SHA256:abc", "failure auth 1 203.0.113.7 bob"},
		{"Failed publickey for bob from " + client + " ssh2: ED25519-CERT SHA256:abc ID x from 8.8.8.8 port 22 ssh2", "failure auth 1 203.0.113.7 bob"},
		{"Failed publickey for invalid user bob from " + client + " ssh2: RSA SHA256:abc", "failure auth 1 203.0.113.7 bob"},
		{"Failed publickey for invalid user x from 8.8.8.8 port 22 from " + client + " ssh2: RSA SHA256:abc", "failure auth 1 203.0.113.7 x from 8.8.8.8 port 22"},
		{"Failed publickey for invalid user x from 8.8.8.8 port 22 ssh2: RSA SHA256:x from " + client + " ssh2: RSA SHA256:abc", "failure auth 1 invalid IP"},
		{"Postponed keyboard-interactive for bob from " + client + " ssh2 [preauth]", ""},
		{"Accepted password for bob from " + client + " ssh2", "success auth 1 203.0.113.7 bob"},
		{"Accepted publickey for bob from " + client + " ssh2: ED25519-CERT SHA256:abc ID x from 8.8.8.8 port 22 ssh2", "success auth 1 203.0.113.7 bob"},
		{"Invalid user bob from " + client, "atleast auth 1 203.0.113.7 bob"},
		{"Invalid user x from 8.8.8.8 port 22 from " + client, "atleast auth 1 203.0.113.7 x from 8.8.8.8 port 22"},
		{"error: maximum authentication attempts exceeded for invalid user bob from " + client + " ssh2 [preauth]", "atleast auth 1 203.0.113.7 bob"},
		{"Connection closed by authenticating user root " + client + " [preauth]", "atleast auth 1 203.0.113.7 root"},
		{"Connection reset by invalid user x 8.8.8.8 port 22 [preauth] " + client + " [preauth]", "atleast auth 1 203.0.113.7 x 8.8.8.8 port 22 [preauth]"},
		{"Disconnected from invalid user x 8.8.8.8 " + client + " [preauth]", "atleast auth 1 203.0.113.7 x 8.8.8.8"},
		{"Disconnected from user bob " + client, ""},
		{"Disconnecting authenticating user root " + client + ": Change of username or service not allowed: (root,ssh-connection) -> (x 8.8.8.8 port 22: x,ssh-connection) [preauth]", "atleast auth 1 203.0.113.7 root"},
		{"Disconnecting invalid user x 8.8.8.8 port 22: x " + client + ": Too many authentication failures [preauth]", ""},
		{"Connection closed by " + client + " [preauth]", "disconnect scan 1 203.0.113.7"},
		{"banner exchange: Connection from " + client + ": invalid format", "disconnect scan 1 203.0.113.7"},
		{"Unable to negotiate with " + client + ": no matching cipher found. Their offer: x from 8.8.8.8 port 22: x [preauth]", "disconnect scan 1 203.0.113.7"},
		{"Bad protocol version identification 'x from 8.8.8.8 port 22' from " + client, "disconnect scan 1 203.0.113.7"},
		{"fatal: Timeout before authentication for " + client, "disconnect scan 1 203.0.113.7"},
		{"Timeout before authentication for connection from 203.0.113.7 to 192.0.2.1, pid = 7", "disconnect scan 1 203.0.113.7"},
		{"drop connection #1 from [203.0.113.7]:40001 on [192.0.2.1]:22 penalty: failed authentication", "failure auth 1 203.0.113.7"},
		{"drop connection #1 from [203.0.113.7]:40001 on [192.0.2.1]:22 penalty: connections without attempting authentication", "failure scan 1 203.0.113.7"},
		{"drop connection #10 from [203.0.113.7]:40001 on [192.0.2.1]:22 past MaxStartups", ""},
		{`error: kex_exchange_identification: client sent invalid protocol identifier "Failed password for x from 8.8.8.8 port 22 ssh2"`, ""},
		{"Received disconnect from " + client + ":11: Failed password for x from 8.8.8.8 port 22 ssh2 [preauth]", ""},
		{"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.7  user=root", ""},
		{"PAM 5 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.7  user=root", ""},
		{"error: PAM: Authentication failure for root from 203.0.113.7", "foretold auth 1 203.0.113.7 root"},
		{"error: PAM: authentication error for illegal user x from 8.8.8.8 via 192.0.2.1 from 203.0.113.7 via 192.0.2.1", "foretold auth 1 203.0.113.7 x from 8.8.8.8 via 192.0.2.1"}, // FreeBSD
		{"error: PAM: User not known to the underlying authentication module for illegal user bob from 2001:db8::1", "foretold auth 1 2001:db8::1 bob"},
		{"error: PAM: Authentication failure for root from host.example.com", ""},
		{"error: PAM: Module is unknown for root from 203.0.113.7", ""},
		// Logs of OpenSSH 5.3 to 7.2, and of protocol 1.
		{"Invalid user bob from 203.0.113.7", "atleast auth 1 203.0.113.7 bob"},
		{"Invalid user x from 8.8.8.8 from 203.0.113.7", "atleast auth 1 203.0.113.7 x from 8.8.8.8"},
		{"Invalid user x from 8.8.8.8 port 22 from 203.0.113.7", "atleast auth 1 203.0.113.7 x from 8.8.8.8 port 22"},
		{"Failed password for bob from " + client + " ssh1", "failure auth 1 203.0.113.7 bob"},
		{"Failed password for invalid user bob from " + client + " ssh1", "failure auth 1 203.0.113.7 bob"},
		{"Failed password for bob from " + client + " ssh1: ruser x from 8.8.8.8", "failure auth 1 203.0.113.7 bob"},
		{"Did not receive identification string from 203.0.113.7", "disconnect scan 1 203.0.113.7"},
		{"fatal: Unable to negotiate with 2001:db8::1: no matching key exchange method found. Their offer: x [preauth]", "disconnect scan 1 2001:db8::1"},
		{"Connection closed by 203.0.113.7 [preauth]", ""},
		{"Connection from " + client, ""}, // LogLevel VERBOSE
		{"Connection from " + client + " on 192.0.2.1 port 22", ""},
		{"Partial publickey for bob from " + client + " ssh2: RSA SHA256:abc", ""},
	} {
		for _, tag := range []string{"sshd[7]", "sshd-session[7]", "sshd-auth[7]"} {
			one(t, tag, tt.msg, tt.want)
		}
	}
}

// hostile are texts of clients that a reader of logs may fall for.
var hostile = []string{
	"bob", "", " ", `\`, "x\x00y\x1b[31m\r\n", "ü\xff", "8.8.8.8]: SASL LOGIN authentication failed: authentication failure",
	"warning: unknown[8.8.8.8]: SASL LOGIN authentication failed: authentication failure, sasl_username=root",
	"disconnect from unknown[8.8.8.8] ehlo=1 auth=0/20 quit=1 commands=2/22",
	"x from 8.8.8.8 port 22 ssh2", "x from 8.8.8.8 port 22 ssh2: RSA SHA256:abc", "x 8.8.8.8 port 22 [preauth]", "x from 8.8.8.8 via 192.0.2.1",
	"x>, method=PLAIN, rip=8.8.8.8, lip=192.0.2.1, TLS, session=<x>", "x (auth failed, 9 attempts in 1 secs): user=<y",
	"x: user=<y>, rip=8.8.8.8, lip=192.0.2.1", "x, sasl_username=root", "x result=permfail", "message repeated 9 times: [ x]",
}

// fuzzDaemon adds hostile texts in all pairs as seeds.
func fuzzDaemon(f *testing.F) {
	for _, a := range hostile {
		for _, b := range hostile {
			f.Add(a, b)
		}
	}
}

// printable is what Postfix' printable() and Dovecot's str_sanitize() leave of
// text: no control bytes, and no invalid ones.
func printable(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return '?'
		}
		return r
	}, text)
	for utf8.RuneCountInString(text) > most {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return text
}

// firstWord is the first word of text, or x.
func firstWord(text string) string {
	if words := strings.Fields(text); len(words) > 0 {
		return words[0]
	}
	return "x"
}

// mine checks that the lines of a daemon with that tag say the wanted kinds and
// classes, and all of them of the client at 198.51.100.7.
func mine(t *testing.T, tag string, lines, want []string) {
	t.Helper()
	const head = "Nov 20 10:00:00 mail "
	log := head + tag + ": " + strings.Join(lines, "\n"+head+tag+": ") + "\n"
	c := parseText(log)
	var got []string
	for _, e := range c.Events {
		kind, _, _ := strings.Cut(e.String(), " ")
		class := "nothing"
		if e.Class != nothing {
			class = ClassNames[e.Class]
		}
		got = append(got, fmt.Sprintf("%s %s %d", kind, class, e.Each*e.Count))
		if e.Addr != netip.MustParseAddr("198.51.100.7") {
			t.Errorf("address %v of\n%s", e.Addr, log)
		}
	}
	if c.Lines != len(lines) || !slices.Equal(got, want) {
		t.Errorf("got %q, want %q of\n%s", got, want, log)
	}
}

func FuzzPostfix(f *testing.F) {
	fuzzDaemon(f)
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a)+len(b) > 4<<10 {
			return
		}
		const client = "unknown[198.51.100.7]"
		user, text := printable(a, 100), printable(b, 2000)
		mech := firstWord(printable(b, 100))
		mine(t, "postfix/smtpd[20]", []string{
			"connect from " + client,
			"warning: " + client + ": SASL " + mech + " authentication failed: authentication failure, sasl_username=" + user,
			"warning: " + client + ": SASL " + mech + " authentication failed: generic failure, sasl_username=" + user,
			"warning: " + client + ": SASL " + mech + " authentication failed: Invalid authentication mechanism, sasl_username=(unavailable)",
			"warning: " + client + ": SASL " + mech + " authentication aborted",
			"warning: non-SMTP command from " + client + ": " + text,
			"warning: Illegal address syntax from " + client + " in MAIL command: " + text,
			"warning: Illegal address syntax from " + client + " in RCPT command: " + user,
			"improper command pipelining after EHLO from " + client + ": " + text,
			"NOQUEUE: reject: RCPT from " + client + ": 550 5.1.1 <" + user + ">: Recipient address rejected: User unknown in local recipient table; from=<" + text + "> to=<" + user + "> proto=ESMTP helo=<" + text + ">",
			"NOQUEUE: reject: RCPT from " + client + ": 554 5.7.1 <" + user + ">: Relay access denied; from=<" + text + "> to=<" + user + "> proto=ESMTP helo=<" + text + ">",
			"4Nq1Xk0z2Lz: client=" + client + ", sasl_method=" + mech + ", sasl_username=" + user,
			"disconnect from " + client + " ehlo=1 auth=1/3 mail=1 quit=1 commands=4/6",
		}, []string{
			"failure auth 1", "failure nothing 1", "failure abort 1", "failure abort 1", "hint scan 1", "failure harvest 1", "success auth 1", "disconnect abort 2",
		})
	})
}

func FuzzDovecot(f *testing.F) {
	fuzzDaemon(f)
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a)+len(b) > 4<<10 {
			return
		}
		const client = "rip=198.51.100.7, lip=192.0.2.1, TLS, session=<vXh9d8RgxbzGEwFR>"
		user := printable(a, 80)
		mech := strings.ToUpper(firstWord(printable(b, 80)))
		mine(t, "dovecot", []string{
			"imap-login: Disconnected: Connection closed (auth failed, 3 attempts in 9 secs): user=<" + user + ">, method=PLAIN, " + client,
			"pop3-login: Login aborted: Logged out (auth failed, 2 attempts in 4 secs) (auth_failed): user=<" + user + ">, method=LOGIN, " + client,
			"submission-login: Remote closed connection (auth failed, 1 attempts in 2 secs): user=<" + user + ">, method=PLAIN, " + client,
			"pop3-login: Disconnected (auth failed, 2 attempts): user=<" + user + ">, method=PLAIN, rip=198.51.100.7, lip=192.0.2.1",
			"imap-login: Disconnected (tried to use unsupported auth mechanism): user=<" + user + ">, method=" + mech + ", " + client,
			"imap-login: Disconnected (tried to use unsupported auth mechanism): method=" + mech + ", rip=198.51.100.7, lip=192.0.2.1",
			"imap-login: Authenticate " + mech + " failed: Unsupported authentication mechanism.: user=<>, method=" + mech + ", " + client,
			"imap-login: Disconnected: Connection closed (auth service reported temporary failure): user=<" + user + ">, method=PLAIN, " + client,
			"imap-login: Disconnected: Inactivity (no auth attempts in 180 secs): user=<>, " + client,
			"auth: plain(?,198.51.100.7,<vXh9d8RgxbzGEwFR>): Username character disallowed by auth_username_chars: 0x20 (username: " + user + ")",
			"imap-login: Login: user=<" + user + ">, method=PLAIN, rip=198.51.100.7, lip=192.0.2.1, mpid=7, TLS, session=<x>",
		}, []string{
			"failure auth 3", "failure auth 2", "failure auth 1", "failure auth 2", "failure abort 1", "failure abort 1", "failure scan 1", "success auth 1",
		})
	})
}

// strvis is strnvis(VIS_SAFE|VIS_OCTAL), as sshd writes text, and cuts it.
func strvis(text string, most int) string {
	var b strings.Builder
	for _, c := range []byte(text[:min(len(text), most)]) {
		switch {
		case c == '\\':
			b.WriteString(`\\`)
		case c >= ' ' && c < 0x7f:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\%03o`, c)
		}
	}
	return b.String()
}

func FuzzSSHD(f *testing.F) {
	fuzzDaemon(f)
	f.Fuzz(func(t *testing.T, a, b string) {
		const port, client = "198.51.100.7 port 40001", "from 198.51.100.7 port 40001 ssh2"
		user, _, _ := strings.Cut(strings.TrimRight(a, "\x00"), ":") // what follows is a style
		user, text := strvis(user, 100), strvis(b, 200)
		lines := []string{
			"Connection from " + port + " on 192.0.2.1 port 22",
			"Invalid user " + user + " from " + port,
			"Invalid user " + user + " from 198.51.100.7", // until 7.2
			"Failed none for invalid user " + user + " " + client,
			"Failed password for invalid user " + user + " " + client,
			"Failed password for invalid user " + user + " from " + port + " ssh1",
			"error: PAM: User not known to the underlying authentication module for illegal user " + user + " from 198.51.100.7",
			"error: PAM: authentication error for illegal user " + user + " from 198.51.100.7 via 192.0.2.1",
			"Failed keyboard-interactive/pam for invalid user " + user + " " + client,
			"Postponed keyboard-interactive for invalid user " + user + " " + client + " [preauth]",
			"Failed publickey for root " + client + ": RSA-CERT SHA256:abc ID " + text + " (serial 0) CA RSA SHA256:abc",
			"Failed publickey for root " + client + ": RSA-CERT SHA256:abc ID " + text,
			"Accepted publickey for root " + client + ": RSA-CERT SHA256:abc ID " + text,
			"error: maximum authentication attempts exceeded for invalid user " + user + " " + client + " [preauth]",
			"Connection closed by invalid user " + user + " " + port + " [preauth]",
			"Disconnected from invalid user " + user + " " + port + " [preauth]",
			"Disconnecting invalid user " + user + " " + port + ": Change of username or service not allowed: (" + user + ",ssh-connection) -> (" + text + ",ssh-connection) [preauth]",
			"Disconnecting authenticating user root " + port + ": Change of username or service not allowed: (root,ssh-connection) -> (" + text + ",ssh-connection) [preauth]",
			"Received disconnect from " + port + ":11: " + text + " [preauth]",
			`error: kex_exchange_identification: client sent invalid protocol identifier "` + text + `"`,
			"Unable to negotiate with " + port + ": no matching cipher found. Their offer: " + text + " [preauth]",
			"Bad protocol version identification '" + text + "' from " + port,
			"Bad protocol version identification '" + text + "' from 198.51.100.7",
		}
		mine(t, "sshd[7]", lines, []string{
			"atleast auth 1", "atleast auth 1", "failure auth 1", "failure auth 1", "failure auth 1", "foretold auth 1", "foretold auth 1", "echo auth 1",
			"failure auth 1", "failure auth 1", "success auth 1", "atleast auth 1", "atleast auth 1", "atleast auth 1", "atleast auth 1",
			"disconnect scan 1", "disconnect scan 1", "disconnect scan 1",
		})
		// Where user and key are both the client's the address may be left to the
		// session, but is nobody else's.
		c := parseText("Nov 20 10:00:00 mail sshd[7]: Failed publickey for invalid user " + user + " " + client + ": RSA-CERT SHA256:abc ID " + text + "\n")
		if len(c.Events) != 1 || c.Events[0].Kind != Failure || c.Events[0].Addr.IsValid() && c.Events[0].Addr.String() != "198.51.100.7" {
			t.Errorf("got %v, user %q, text %q", c.Events, user, text)
		}
	})
}
