package guides_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"testing"
)

// recorder stands in for a database that takes everything.
type recorder struct{}

func openRecorder(t *testing.T) *sql.DB {
	db := sql.OpenDB(recorder{})
	t.Cleanup(func() { db.Close() })
	return db
}

func (r recorder) Connect(context.Context) (driver.Conn, error) { return r, nil }
func (r recorder) Driver() driver.Driver                        { return nil }
func (r recorder) Prepare(string) (driver.Stmt, error)          { return r, nil }
func (r recorder) Begin() (driver.Tx, error)                    { return r, nil }
func (recorder) Close() error                                   { return nil }
func (recorder) Commit() error                                  { return nil }
func (recorder) Rollback() error                                { return nil }
func (recorder) NumInput() int                                  { return -1 }
func (recorder) Exec([]driver.Value) (driver.Result, error)     { return driver.RowsAffected(1), nil }
func (recorder) Query([]driver.Value) (driver.Rows, error)      { return nil, driver.ErrSkip }
