package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/canton"
	"canton-backup/internal/docker"
	"canton-backup/internal/encryption"
	"canton-backup/internal/postgres"
	"canton-backup/internal/seal"
	"canton-backup/internal/sqltext"
)

// part is a piece of the product, on the benchmark's node.
type part struct {
	staging    string
	file       string
	codec      backupset.Codec
	encryption backupset.Encryption
	to         string // public key of age, or file of GPG's
	way        string // compressor that is weighed
	database   string // to dump, or to load into
}

// parts are what the benchmark starts itself as.
var parts = map[string]func(context.Context, part, *postgres.Server) error{"capture": capture, "load": load, "compress": compress, "stream": stream}

// runPart is the main of such a process.
func runPart(ctx context.Context, name string, args []string) (err error) {
	var p part
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.StringVar(&p.staging, "staging", "", "")
	flags.StringVar(&p.file, "file", "", "")
	flags.StringVar((*string)(&p.codec), "codec", "", "")
	flags.StringVar((*string)(&p.encryption), "encryption", "", "")
	flags.StringVar(&p.to, "to", "", "")
	flags.StringVar(&p.way, "way", "", "")
	flags.StringVar(&p.database, "database", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	engine, err := docker.Connect()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	node, err := canton.Find(ctx, engine, canton.Query{Project: project})
	if err != nil {
		return err
	}
	return parts[name](ctx, p, node.Server(engine, owner, p.staging))
}

// capture is what the DumpParticipant step does with a database, the sums of its rows included.
func capture(ctx context.Context, p part, server *postgres.Server) error {
	to, err := p.recipients()
	if err != nil {
		return err
	}
	w, err := seal.Create(p.file, seal.Form{Codec: p.codec, To: to, Watch: sqltext.NewReader()})
	if err != nil {
		return err
	}
	if err := dump(ctx, server, p.database, w); err != nil {
		return errors.Join(err, w.Abort())
	}
	_, err = w.Close()
	return err
}

func (p part) recipients() (*encryption.Recipients, error) {
	switch p.encryption {
	case backupset.Age:
		return encryption.ForAge([]string{p.to})
	case backupset.GPG:
		return encryption.ForGPG([]string{p.to}, time.Now())
	default:
		return nil, nil
	}
}

func dump(ctx context.Context, server *postgres.Server, database string, w io.Writer) (err error) {
	session, err := server.Open(ctx, database, owner)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	_, err = session.Dump(ctx, w)
	return err
}

// load is what the product's restore does with a dump file.
func load(ctx context.Context, p part, server *postgres.Server) (err error) {
	file, err := os.Open(p.file)
	if err != nil {
		return fmt.Errorf("open dump: %w", err)
	}
	defer file.Close()
	text, err := seal.Decode(ctx, file, backupset.Component{Codec: p.codec}, nil)
	if err != nil {
		return err
	}
	defer text.Close()
	console, err := server.Console(ctx, p.database, owner, postgres.LoadParameters()...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, console.Close()) }()
	return console.Load(ctx, text)
}
