package main

import (
	"database/sql"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver
)

type sqliteEngine struct {
	db          *sql.DB
	set, remove *sql.Stmt
}

func openSQLite(dir string) (engine, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "store")+"?_pragma=journal_mode(wal)&_pragma=synchronous(full)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	e := &sqliteEngine{db: db}
	if _, err := db.Exec("create table if not exists records (key integer primary key, value blob)"); err != nil {
		return nil, err
	}
	if e.set, err = db.Prepare("replace into records values (?, ?)"); err != nil {
		return nil, err
	}
	if e.remove, err = db.Prepare("delete from records where key = ?"); err != nil {
		return nil, err
	}
	return &group{engine: e}, nil
}

func (e *sqliteEngine) Commit(ops []op) error {
	tx, err := e.db.Begin()
	if err != nil {
		return err
	}
	for _, o := range ops {
		if o.value == nil {
			_, err = tx.Stmt(e.remove).Exec(int64(o.key))
		} else {
			_, err = tx.Stmt(e.set).Exec(int64(o.key), o.value)
		}
		if err != nil {
			_ = tx.Rollback()
			return err
		}
	}
	return tx.Commit()
}

func (e *sqliteEngine) Count() (n int, err error) {
	rows, err := e.db.Query("select value from records order by key")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var value sql.RawBytes
	for ; rows.Next(); n++ {
		if err := rows.Scan(&value); err != nil {
			return n, err
		}
	}
	return n, rows.Err()
}

func (e *sqliteEngine) Close() error { return e.db.Close() }
