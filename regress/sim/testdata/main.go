package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// main is that of main.go, but for the clock and syslogd.
func main() {
	now, err := strconv.ParseInt(os.Getenv("SIM_NOW"), 10, 64)
	if err != nil {
		panic(err)
	}
	os.Exit(run(os.Args[1:], system{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		now: time.Unix(now, 0), lookup: lookup, syslog: func() func(string) error {
			f, err := os.OpenFile(os.Getenv("SIM_SYSLOG"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			return func(line string) error {
				if err == nil {
					_, err = fmt.Fprintln(f, line)
				}
				return err
			}
		},
	}))
}
