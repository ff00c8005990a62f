"""Turn published weights into files of ours."""
