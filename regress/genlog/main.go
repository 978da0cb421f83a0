// Genlog writes a log as OpenSMTPD does under attack, for benchmarks: a third
// of its lines tell of a login. The same seed gives the same log.
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
	seed := flag.Uint64("seed", 1, "seed")
	clients := flag.Int("clients", 20000, "different addresses")
	flag.Parse()
	rng := rand.New(rand.NewPCG(*seed, 0))
	w := bufio.NewWriterSize(os.Stdout, 1<<20)
	defer w.Flush()
	users := []string{"admin", "info", "test", "office", "sales", "root", "postmaster", "alice", "bob"}
	now := time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC)
	stamp := now.Format(time.Stamp)
	for written := 0; written < *mb<<20; {
		if rng.IntN(20) == 0 {
			now = now.Add(time.Second)
			stamp = now.Format(time.Stamp)
		}
		id := rng.Uint64()
		line := func(format string, args ...any) {
			n, _ := fmt.Fprintf(w, "%s mail smtpd[20]: %016x smtp %s\n", stamp, id, fmt.Sprintf(format, args...))
			written += n
		}
		c := rng.IntN(*clients)
		line("connected address=198.%d.%d.%d host=<unknown>", 18+c>>16, c>>8&255, c&255)
		line("tls ciphers=TLSv1.3:TLS_AES_256_GCM_SHA384:256")
		for range rng.IntN(3) {
			line("authentication user=%s result=permfail", users[rng.IntN(len(users))])
			line(`failed-command command="AUTH LOGIN (password)" result="535 Authentication failed"`)
		}
		line("disconnected reason=disconnect")
	}
}
