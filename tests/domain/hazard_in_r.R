# The figures of R's `survival` and `glm` on the tables of a folder: Rscript --vanilla hazard_in_r.R FOLDER
# Each input is a CSV file with a header; each answer is one, too.
suppressPackageStartupMessages(library(survival))
setwd(commandArgs(trailingOnly = TRUE)[1])
answer <- function(name, ...) write.csv(format(data.frame(...), digits = 17), name, row.names = FALSE, quote = FALSE)

late <- read.csv("late.csv")
curve <- survfit(Surv(entry, end, churned) ~ 1, late, conf.type = "log-log")
at <- summary(curve, times = c(6, 12, 24, 36), extend = TRUE)
answer("late_in_r.csv", month = at$time, survival = at$surv, lower = at$lower, upper = at$upper)

lives <- read.csv("lives.csv")
states <- survfit(Surv(left, factor(cause)) ~ 1, lives)
at <- summary(states, times = c(3, 6, 12), extend = TRUE)
answer("states_in_r.csv", month = at$time, first = at$pstate[, 2], second = at$pstate[, 3])
weibull <- survreg(Surv(left, cause > 0) ~ usage + card, lives, dist = "weibull")
mean <- predict(weibull, type = "lp")
kept <- sapply(c(3, 6, 12), function(month) exp(-exp((log(month) - mean) / weibull$scale)))
answer("weibull_in_r.csv", month_3 = kept[, 1], month_6 = kept[, 2], month_12 = kept[, 3])

rows <- read.csv("rows.csv")
design <- as.matrix(rows[, grep("^term", names(rows))])
model <- suppressWarnings(glm.fit(design, rows$target, weights = rows$weight, family = binomial(),
                                  control = glm.control(epsilon = 1e-14, maxit = 100)))
class(model) <- "glm"
found <- summary(model, dispersion = 1)$coefficients
answer("rows_in_r.csv", coefficient = found[, 1], error = found[, 2])
