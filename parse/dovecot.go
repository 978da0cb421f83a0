package parse

import "bytes"

// dovecot reads what the login processes of Dovecot say when they are done with
// a client (src/login-common/client-common.c; 2.3 and 2.4 were seen):
//
//	imap-login: Disconnected: Connection closed (auth failed, 3 attempts in 9 secs): user=<USER>, method=PLAIN, rip=ADDR, lip=ADDR, TLS, session=<ID>
//	imap-login: Login aborted: Logged out (auth failed, 3 attempts in 9 secs) (auth_failed): user=<USER>, …
//	imap-login: Login: user=<USER>, method=PLAIN, rip=ADDR, lip=ADDR, mpid=N, TLS, session=<ID>
//
// The second form is that of 2.4, where the last begins with "Logged in", and
// submission-login of 2.3 begins with the reason: "Remote closed connection (…".
// 1.2 and 2.0 leave out a user=<> that is empty. With log_path, imap-login is
// the tag and "Info: " follows. USER and the method are the client's; USER may
// have anything in it. So why the session ended is read from the left, up to the
// first user=<, and the address from the right. The reason is that of the last
// attempt, and so the number is of that class too: what the attempts before it
// came to is not logged, nor are failures before a success.
//
// What the auth process says (tags auth: and auth-worker:) is not read: each of
// its failures is one of a login process, or of a Postfix, and with several
// passdbs there are several lines for one.
func dovecot(msg []byte, _ *wanted, e *Event) bool {
	text, file := bytes.CutPrefix(msg, []byte("Info: "))
	if !file {
		var process []byte
		var ok bool
		if process, text, ok = bytes.Cut(msg, []byte("-login: ")); !ok || !isAlnum(process) {
			return false
		}
		text = bytes.TrimPrefix(text, []byte("Info: ")) // a container's standard error
	}
	reason, rest, named := bytes.Cut(text, []byte(": user=<"))
	method := false
	if !named {
		if reason, rest, method = bytes.Cut(text, []byte(": method=")); !method {
			reason, _, _ = bytes.Cut(text, []byte(": rip="))
			rest = text[len(reason):]
		}
	}
	e.Session = 0
	left, right, ok := lastField(rest, " rip=")
	if !ok {
		return false
	}
	rip, right, ok := bytes.Cut(right, []byte(", lip="))
	if !ok {
		return false
	}
	lip, _, _ := bytes.Cut(right, []byte(","))
	if _, ok = address(lip); !ok {
		return false
	}
	if e.Addr, ok = address(rip); !ok {
		return false
	}
	if named {
		left = bytes.TrimSuffix(left, []byte(","))
		if e.User, _, method = lastField(left, ">, method="); !method {
			e.User = bytes.TrimSuffix(left, []byte(">"))
		}
		if len(e.User) == 0 {
			e.User = nil // none was given
		}
	}
	if s := string(reason); s == "Login" || s == "Logged in" {
		e.Kind = Success
		return true
	}
	for _, begins := range []string{"proxy", "Error: ", "Warning: ", "Debug: "} { // not the client's doing
		if bytes.HasPrefix(reason, []byte(begins)) {
			return false
		}
	}
	return dovecotReason(reason, method, e)
}

// dovecotReasons are what a login process says in brackets, in
// client_get_extra_disconnect_reason(). What is of no class is not here: its own
// trouble, and that of the auth process; and a proxy's, as until 2.3 the other
// side's temporary failure is (proxy dest auth failed) too.
var dovecotReasons = []struct {
	begins string
	class  Class
}{
	{"(auth failed", Auth},
	{"(authorization failed", Auth},
	{"(user disabled", Auth},
	{"(password expired", Auth},
	{"(client didn't finish SASL auth", Abort},
	{"(auth aborted by client", Abort},
	{"(aborted authentication", Abort},
	{"(disconnected while authenticating", Abort}, // until 2.3
	{"(tried to use unsupported auth mechanism", Abort},
	{"(tried to use disallowed ", Abort}, // plaintext auth, cleartext auth
	{"(tried to use disabled ", Abort},   // 1.2 and 2.0
	{"(sent invalid base64 in response", Abort},
	{"(anonymous logins disabled", Abort},
	{"(credentials contain control characters", Abort},
	{"(no auth attempts", Scan},
	{"(disconnected before auth was ready", Scan},
	{"(disconnected before greeting", Scan}, // 2.1
	{"(disconnected during TLS handshake", Scan},
}

func dovecotReason(reason []byte, method bool, e *Event) bool {
	for _, r := range dovecotReasons {
		_, after, ok := bytes.Cut(reason, []byte(r.begins))
		if !ok {
			continue
		}
		e.Kind, e.Class = Failure, r.class
		if r.class == Scan { // or somebody who says goodbye
			return !bytes.Contains(reason, []byte("by logging out")) && !bytes.Contains(reason, []byte("Logged out"))
		}
		if r.class == Auth && !method { // refused for want of TLS, and not looked at
			e.Class = Abort
		}
		// ", 3 attempts in 9 secs", and in 2.4 ", 1/3 successful auths in 9 secs".
		_, after, _ = bytes.Cut(after, []byte(", "))
		n, after := number(after)
		switch {
		case n > 0 && bytes.HasPrefix(after, []byte(" attempts")):
			e.Each = n
		case n > 0 && bytes.HasPrefix(after, []byte("/")):
			all, _ := number(after[1:])
			e.Each = max(all, n+1) - n
		}
		return true
	}
	return false
}
