//go:build !unix

package components

import (
	"errors"
	"os"
	"os/exec"
)

const supported = false

func tryLock(string) (*os.File, error) { return nil, errors.ErrUnsupported }
func ownGroup(*exec.Cmd)               {}
func terminate(p *os.Process) error    { return p.Kill() }
func killGroup(int) error              { return errors.ErrUnsupported }
func guardCommand(int) *exec.Cmd       { return nil }
