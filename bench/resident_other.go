//go:build !unix

package main

import (
	"os"
	"time"
)

// residentMost is the most memory that a process which has ended held at one time.
func residentMost(*os.ProcessState) string { return "unknown memory" }

func processor() time.Duration { return 0 }

func userTime() time.Duration { return 0 }
