import Glibc

/// What the kernel knows of this process, read when `/metrics` is asked for. Names as Prometheus
/// client libraries use them.
enum ProcessMetrics {
  static func exposition() -> String {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    let cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime)
    return """
      # TYPE process_cpu_seconds_total counter
      process_cpu_seconds_total \(cpu)
      # TYPE process_peak_resident_memory_bytes gauge
      process_peak_resident_memory_bytes \(usage.ru_maxrss * 1024)

      """
  }

  private static func seconds(_ time: timeval) -> Double {
    Double(time.tv_sec) + Double(time.tv_usec) / 1e6
  }
}
