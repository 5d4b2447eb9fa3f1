package import MainstreetAPI
package import Postgres

extension Timestamp {
  package init(_ timestamp: PostgresTimestamp) {
    self.init(seconds: timestamp.seconds, nanos: timestamp.nanoseconds)
  }
}
