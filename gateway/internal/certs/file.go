package certs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxFile bounds what is read of a file, in bytes. The largest bundles of authorities have a quarter of it.
const maxFile = 1 << 20

// file is a file at its place in the configuration.
type file struct {
	path string // of the configuration
	name string
	want string // in messages
}

func (f file) problem(got string) *Problem { return &Problem{Path: f.path, Got: got, Want: f.want} }

// stamp tells which file a name stands for, following links, without reading it. It is nil if there is none.
func (f file) stamp() os.FileInfo {
	info, err := os.Stat(f.name)
	if err != nil {
		return nil
	}
	return info
}

func sameStamp(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && a.Mode() == b.Mode()
}

// read reads a regular file. A pipe or a device is not opened, since that could wait.
func (f file) read() ([]byte, *Problem) {
	info, err := os.Stat(f.name)
	if err != nil {
		return nil, f.unreadable(err)
	}
	if !info.Mode().IsRegular() {
		return nil, f.problem(fmt.Sprintf("%s, which is %s", f.name, info.Mode().Type()))
	}
	in, err := os.Open(f.name)
	if err != nil {
		return nil, f.unreadable(err)
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, f.unreadable(err)
	}
	if len(data) > maxFile {
		return nil, f.problem(fmt.Sprintf("more than %d bytes in %s", maxFile, f.name))
	}
	return data, nil
}

func (f file) unreadable(err error) *Problem {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err
	}
	return f.problem(f.name + ": " + err.Error())
}
