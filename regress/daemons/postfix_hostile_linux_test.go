package daemons_test

func addSMTPHostile(add adder) {}
