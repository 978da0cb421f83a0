// Genlog writes a log as OpenSMTPD does, for benchmarks. The same flags give the
// same log.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

func main() {
	mb := flag.Int("mb", 100, "megabytes")
	kind := flag.String("kind", "attack", "attack: a third of the lines matter; delivery: a fiftieth; or what a hostile "+
		"client may do: session, users, addresses, names, connects, line")
	clients := flag.Int("clients", 20000, "different addresses that attack")
	seed := flag.Uint64("seed", 1, "seed")
	flag.Parse()
	g := generator{
		rng: rand.New(rand.NewPCG(*seed, 0)), w: bufio.NewWriterSize(os.Stdout, 1<<20), clients: *clients,
		now: time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC),
	}
	defer g.w.Flush()
	if *kind == "session" {
		g.line(1, "smtp connected address=198.18.0.1 host=<unknown>")
	}
	for g.written < *mb<<20 {
		if g.rng.IntN(20) == 0 {
			g.now = g.now.Add(time.Second)
		}
		switch *kind {
		case "attack":
			g.attack()
			g.deliver(1)
		case "delivery":
			if g.rng.IntN(4) == 0 {
				g.attack()
			}
			g.deliver(10)
		case "session": // one with nothing but failures
			g.line(1, "smtp authentication user=root result=permfail")
		case "users": // of one address, each another
			id := g.rng.Uint64()
			g.line(id, "smtp connected address=198.18.0.1 host=<unknown>")
			g.line(id, "smtp authentication user=u%d result=permfail", id)
		case "addresses": // each another
			id := g.rng.Uint64()
			g.line(id, "smtp connected address=%d.%d.%d.%d host=<unknown>", 1+id>>56%223, id>>16&255, id>>8&255, id&255)
			g.line(id, "smtp authentication user=root result=permfail")
		case "names": // of 8 KB
			id := g.rng.Uint64()
			g.line(id, "smtp connected address=198.18.%d.%d host=<unknown>", id>>8&255, id&255)
			g.line(id, "smtp authentication user=%0*d result=permfail", 8<<10, id)
		case "connects": // and no end of a session
			g.line(g.rng.Uint64(), "smtp connected address=198.18.0.1 host=<unknown>")
		case "line": // one without an end
			g.written += 1 << 20
			g.w.Write(make([]byte, 1<<20))
		default:
			fmt.Fprintln(os.Stderr, "genlog: no kind", *kind)
			os.Exit(1)
		}
	}
}

type generator struct {
	rng     *rand.Rand
	w       *bufio.Writer
	now     time.Time
	clients int
	written int
}

// line writes a line of the session id.
func (g *generator) line(id uint64, format string, args ...any) {
	n, _ := fmt.Fprintf(g.w, "%s mail smtpd[20]: %016x %s\n", g.now.Format(time.Stamp), id, fmt.Sprintf(format, args...))
	g.written += n
}

var users = []string{"admin", "info", "test", "office", "sales", "root", "postmaster", "alice", "bob"}

// attack is a session with up to two failures.
func (g *generator) attack() {
	id, c := g.rng.Uint64(), g.rng.IntN(g.clients)
	g.line(id, "smtp connected address=198.%d.%d.%d host=<unknown>", 18+c>>16, c>>8&255, c&255)
	g.line(id, "smtp tls ciphers=TLSv1.3:TLS_AES_256_GCM_SHA384:256")
	for range g.rng.IntN(3) {
		g.line(id, "smtp authentication user=%s result=permfail", users[g.rng.IntN(len(users))])
		g.line(id, `smtp failed-command command="AUTH LOGIN (password)" result="535 Authentication failed"`)
	}
	g.line(id, "smtp disconnected reason=disconnect")
}

// deliver is the way of n messages of local users to other servers.
func (g *generator) deliver(n int) {
	id := g.rng.Uint64()
	for range n {
		msg := g.rng.Uint32()
		user := users[g.rng.IntN(len(users))]
		g.line(id, "smtp message msgid=%08x size=%d nrcpt=1 proto=ESMTP", msg, g.rng.IntN(100_000))
		g.line(id, "smtp envelope evpid=%08x%08x from=<%s@example.org> to=<x@example.net>", msg, g.rng.Uint32(), user)
		g.line(g.rng.Uint64(), "mta connected")
		g.line(g.rng.Uint64(), `mta delivery evpid=%08x%08x from=<%s@example.org> to=<x@example.net> rcpt=<-> source="192.0.2.1" relay="198.51.100.1 (mx.example.net)" delay=1s result="Ok" stat="250 2.0.0 Ok: queued as %08X"`,
			msg, g.rng.Uint32(), user, g.rng.Uint32())
	}
}
